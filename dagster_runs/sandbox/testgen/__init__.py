"""Stand-ins of DataKitchen TestGen, in the shapes of two of its versions."""

from dagster_runs.sandbox.testgen.service import TestGen
from dagster_runs.sandbox.testgen.shape import NEW, OLD

__all__ = ["NEW", "OLD", "TestGen"]
