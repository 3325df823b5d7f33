"""A stand-in of Amperity's workflow runs."""

from dagster_runs.sandbox.amperity.service import Amperity

__all__ = ["Amperity"]
