"""Amperity workflows: https://docs.amperity.com/api/."""

from dagster_runs.vendors.amperity.resource import AmperityResource as AmperityResource
from dagster_runs.vendors.amperity.run import AmperityWorkflowRun as AmperityWorkflowRun
