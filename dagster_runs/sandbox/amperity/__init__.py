"""Simulates Amperity's workflow runs."""

from dagster_runs.sandbox.amperity.service import Amperity

__all__ = ["Amperity"]
