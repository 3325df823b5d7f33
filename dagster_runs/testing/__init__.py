"""Helpers for testing your own definitions without a vendor and without waiting.

```python
from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import fast_forward, sandbox_resources

def test_my_asset():
    with Sandbox() as sandbox, fast_forward(sandbox):
        result = dagster.materialize([my_asset], resources=sandbox_resources(sandbox.url))
    assert result.success
    assert sandbox.starts("testgen") == 1
```

Needs the extra ``dagster-runs[sandbox]``.
"""

from dagster_runs.testing.clock import SandboxClock as SandboxClock
from dagster_runs.testing.clock import fast_forward as fast_forward
from dagster_runs.testing.resources import sandbox_resources as sandbox_resources

__all__ = ["SandboxClock", "fast_forward", "sandbox_resources"]
