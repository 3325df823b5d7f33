"""Uses dagster-rudderstack as its documentation shows: an op starts a Profiles run and waits for its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import dagster as dg
from dagster_rudderstack.ops.profiles import rudderstack_profiles_op
from dagster_rudderstack.resources import rudderstack
from typing_extensions import override

from dagster_runs.sandbox import SandboxClient, well_known


class Resource(rudderstack.RudderStackProfilesResource):
    """The published resource with a path: it takes only a host, but each of the sandbox's vendors has its own path."""

    @override
    def make_request(self, endpoint: str, **options: Any) -> Any:
        return super().make_request(endpoint=f"/rudderstack{endpoint}", **options)


def job(url: str, profiles_id: str, name: str) -> dg.JobDefinition:
    """Returns a job that runs one Profiles project."""
    resource = Resource(access_token=well_known.RUDDERSTACK_TOKEN, rs_cloud_url=url)

    @dg.job(
        name=name,
        resource_defs={"profiles_resource": resource},
        config={"ops": {"rudderstack_profiles_op": {"config": {"profile_id": profiles_id, "parameters": []}}}},
    )
    def peer() -> None:
        rudderstack_profiles_op()

    return peer


@contextmanager
def fast_forward(sandbox: SandboxClient) -> Iterator[None]:
    """Makes its pauses advance the sandbox's time, as `dagster_runs.testing.fast_forward` does for this package."""
    with patch.object(rudderstack.time, "sleep", sandbox.advance):
        yield
