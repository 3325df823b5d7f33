"""Segmentflow journeys: https://segmentflow.ai/docs/."""

from dagster_runs.vendors.segmentflow.resource import SegmentflowResource as SegmentflowResource
from dagster_runs.vendors.segmentflow.run import SegmentflowJourneyRun as SegmentflowJourneyRun
