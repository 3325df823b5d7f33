"""RudderStack's Profiles API and Reverse ETL Connections API."""

from dagster_runs.sandbox.rudderstack.service import RudderStack

__all__ = ["RudderStack"]
