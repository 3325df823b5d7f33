"""Simulates two versions of DataKitchen TestGen."""

from dagster_runs.sandbox.testgen.service import TestGen
from dagster_runs.sandbox.testgen.shape import NEW, OLD

__all__ = ["NEW", "OLD", "TestGen"]
