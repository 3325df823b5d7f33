"""DataKitchen TestGen, open source and Enterprise: https://docs.datakitchen.io/testgen/."""

from dagster_runs.vendors.testgen.generation import TestGenTestGenerationRun as TestGenTestGenerationRun
from dagster_runs.vendors.testgen.resource import TestGenResource as TestGenResource
from dagster_runs.vendors.testgen.runs import TestGenProfilingRun as TestGenProfilingRun
from dagster_runs.vendors.testgen.runs import TestGenTestRun as TestGenTestRun
