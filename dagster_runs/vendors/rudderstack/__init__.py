"""RudderStack: https://www.rudderstack.com/docs/api/profiles-api/ and .../api/retl-connections-api/."""

from dagster_runs.vendors.rudderstack.resource import RudderStackResource as RudderStackResource
from dagster_runs.vendors.rudderstack.run import RudderStackProfilesRun as RudderStackProfilesRun
from dagster_runs.vendors.rudderstack.sync import RudderStackRETLSyncRun as RudderStackRETLSyncRun
