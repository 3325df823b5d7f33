"""What a list of an example vendor must withstand."""

from typing import Any

from dagster_runs.sandbox import Fault, Sandbox
from dagster_runs.vendor_sdk import RemoteRun, RemoteRunResource


def check_unreadable_entry(
    sandbox: Sandbox, vendor: str, target: str, run: RemoteRun[Any], resource: RemoteRunResource, entry: Any
) -> None:
    """Checks that an entry that cannot be read hides no other run, and is of no target."""
    began = sandbox.now()
    first, _, last = [sandbox.start_run(target, vendor=vendor, source="scheduler") for _ in range(3)]
    sandbox.add_fault(Fault("wrong_type", method="GET", field="data.1", value=entry))
    listed = {one.run_id: one for one in resource.list_runs(began - 10) or ()}
    assert {first.id, last.id} < set(listed)
    [other] = set(listed) - {first.id, last.id}
    assert run.target_of_listed(resource, listed[first.id]) == run.observed_target
    assert run.target_of_listed(resource, listed[other]) == ""
