"""Local simulations of the vendors' APIs over real HTTP, with run life cycles, strict validation, and fault injection.

For tests, and for trying out the package without an account:

```python
from dagster_runs.sandbox import Fault, Sandbox, well_known

with Sandbox(speed=20) as sandbox:
    base_url = f"{sandbox.url}/rudderstack"
    sandbox.add_fault(Fault("status", status=503, times=2))
    ...
    assert sandbox.starts("rudderstack") == 1
```

`python -m dagster_runs.sandbox --port 8099` serves the same to other processes, which control it with `SandboxClient`.

To simulate a vendor of your own, derive a class from `Vendor`: `Sandbox(vendors=[MyVendor])`.

The sandbox shares no code with the clients that it tests. Otherwise, the client and the sandbox could share a mistake
that no test would detect.
"""

try:
    from dagster_runs.sandbox import well_known
    from dagster_runs.sandbox.behavior import Behavior
    from dagster_runs.sandbox.client import SandboxClient
    from dagster_runs.sandbox.earlier_names import Behaviour as Behaviour
    from dagster_runs.sandbox.faults import Fault
    from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, RejectedError, Route
    from dagster_runs.sandbox.log import Credentials, RecordedRequest
    from dagster_runs.sandbox.runs import Phase, Run, SandboxRun, Target
    from dagster_runs.sandbox.server import Sandbox
    from dagster_runs.sandbox.vendor import Vendor
except ModuleNotFoundError as error:
    if error.name != "aiohttp":
        raise
    raise ModuleNotFoundError(
        "dagster_runs.sandbox and dagster_runs.testing need aiohttp, which is not installed. Install the package with "
        "the extra: pip install 'dagster-runs[sandbox]'",
        name=error.name,
    ) from error

__all__ = [
    "ApiRequest",
    "ApiResponse",
    "Behavior",
    "Credentials",
    "Fault",
    "Phase",
    "RecordedRequest",
    "RejectedError",
    "Route",
    "Run",
    "Sandbox",
    "SandboxClient",
    "SandboxRun",
    "Target",
    "Vendor",
    "well_known",
]
