"""RudderStack Profiles: https://www.rudderstack.com/docs/api/profiles-api/."""

from dagster_runs.vendors.rudderstack.resource import RudderStackResource as RudderStackResource
from dagster_runs.vendors.rudderstack.run import RudderStackProfilesRun as RudderStackProfilesRun
