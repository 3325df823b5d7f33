"""Prophecy pipelines: https://docs.prophecy.ai/api-reference/."""

from dagster_runs.vendors.prophecy.resource import ProphecyResource as ProphecyResource
from dagster_runs.vendors.prophecy.run import ProphecyPipelineRun as ProphecyPipelineRun
