"""What you need to test your own definitions without a vendor, and without waiting.

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

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sandbox import Sandbox, SandboxClient, well_known
from dagster_runs.transport.clock import Clock, use_clock
from dagster_runs.vendors.amperity import AmperityResource
from dagster_runs.vendors.prophecy import ProphecyResource
from dagster_runs.vendors.rudderstack import RudderStackResource
from dagster_runs.vendors.segmentflow import SegmentflowResource
from dagster_runs.vendors.testgen import TestGenResource


class SandboxClock(Clock):
    """A clock whose pauses take no time: the sandbox's time goes forward instead.

    Attributes:
        pauses: The seconds of every pause so far.
        longest_sleep: Unlimited: nothing else happens while a pause takes no time.
    """

    longest_sleep = math.inf

    def __init__(self, sandbox: Sandbox | SandboxClient) -> None:
        self._sandbox = sandbox
        self._ahead = sandbox.now() - super().wall()
        self.pauses: list[float] = []

    def wall(self) -> float:
        """The machine's time, and all pauses on top."""
        return super().wall() + self._ahead

    def monotonic(self) -> float:
        """The machine's monotonic time, and all pauses on top."""
        return super().monotonic() + self._ahead

    def uptime(self) -> float:
        """The machine's, and all pauses on top: the time between two moments is the same as by ``wall``."""
        return super().uptime() + sum(self.pauses)

    def sleep(self, seconds: float) -> None:
        """Return at once, with the sandbox as many seconds further."""
        self.pauses.append(seconds)
        self._ahead += seconds
        if seconds > 0:
            self._sandbox.advance(seconds)


@contextmanager
def fast_forward(sandbox: Sandbox | SandboxClient) -> Iterator[SandboxClock]:
    """Inside the block no run in this process is waited for: pauses move the sandbox's time instead."""
    clock = SandboxClock(sandbox)
    with use_clock(clock):
        yield clock


def sandbox_resources(url: str, **settings: Any) -> dict[str, RemoteRunResource]:
    """All vendors' resources under their default keys, connected to the sandbox.

    Args:
        url: The sandbox's address.
        settings: Settings that all resources share, such as ``max_retries``.
    """
    return {
        "amperity": AmperityResource(
            tenant=well_known.AMPERITY_TENANT,
            access_token=well_known.AMPERITY_TOKEN,
            base_url=f"{url}/amperity",
            **settings,
        ),
        "prophecy": ProphecyResource(access_token=well_known.PROPHECY_TOKEN, base_url=f"{url}/prophecy", **settings),
        "segmentflow": SegmentflowResource(
            api_key=well_known.SEGMENTFLOW_API_KEY, base_url=f"{url}/segmentflow", **settings
        ),
        "rudderstack": RudderStackResource(
            access_token=well_known.RUDDERSTACK_TOKEN, base_url=f"{url}/rudderstack", **settings
        ),
        "testgen": TestGenResource(
            access_token=well_known.TESTGEN_TOKEN,
            base_url=f"{url}/testgen",
            project_code=well_known.TESTGEN_PROJECT,
            ui_url=f"{url}/testgen/ui",
            **settings,
        ),
    }
