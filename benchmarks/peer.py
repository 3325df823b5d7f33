"""dagster-rudderstack, as its documentation has it: an op that starts a Profiles run and waits for its end."""

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
    """As published, but for the path: it takes a host alone, where the sandbox's vendors have a path each."""

    @override
    def make_request(self, endpoint: str, **options: Any) -> Any:
        return super().make_request(endpoint=f"/rudderstack{endpoint}", **options)


def job(url: str, profiles_id: str, name: str) -> dg.JobDefinition:
    """A job that runs one Profiles project."""
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
    """Its pauses move the sandbox's time, as `dagster_runs.testing.fast_forward` does for ours."""
    with patch.object(rudderstack.time, "sleep", sandbox.advance):
        yield
