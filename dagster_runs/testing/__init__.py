"""A kit for testing your own definitions without a vendor and without waiting.

pytest finds the fixtures ``dagster_runs_vendors``, ``dagster_runs_resources``, ``dagster_runs_instance``,
``dagster_runs_clock``, ``dagster_runs_location`` and ``dagster_runs_sandbox`` without an import:

```python
def test_my_asset(dagster_runs_vendors, dagster_runs_resources):
    dagster_runs_vendors.script(my_asset, "fail", error="no such table")
    result = dagster.materialize([my_asset], resources=dagster_runs_resources, raise_on_error=False)
    assert not result.success
    assert len(dagster_runs_vendors.started(my_asset)) == 1
```

Without pytest, use `ScriptedVendors`, or a `dagster_runs.sandbox.Sandbox` with `fast_forward` and `sandbox_resources`.

Needs the extra ``dagster-runs[sandbox]``.
"""

from dagster_runs.testing.clock import SandboxClock as SandboxClock
from dagster_runs.testing.clock import fast_forward as fast_forward
from dagster_runs.testing.code_location import CodeLocation as CodeLocation
from dagster_runs.testing.resources import sandbox_resources as sandbox_resources
from dagster_runs.testing.scripted import ScriptedVendors as ScriptedVendors

__all__ = ["CodeLocation", "SandboxClock", "ScriptedVendors", "fast_forward", "sandbox_resources"]
