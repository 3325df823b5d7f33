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
    """A clock whose pauses take no real time. They advance the sandbox's time instead.

    Attributes:
        pauses: The seconds of every pause so far.
        max_sleep: Unlimited, because nothing else can happen during a pause that takes no time.
    """

    max_sleep = math.inf

    def __init__(self, sandbox: Sandbox | SandboxClient) -> None:
        self._sandbox = sandbox
        self._ahead = sandbox.now() - super().wall()
        self.pauses: list[float] = []

    def wall(self) -> float:
        """Returns the machine's time plus all pauses."""
        return super().wall() + self._ahead

    def monotonic(self) -> float:
        """Returns the machine's monotonic time plus all pauses."""
        return super().monotonic() + self._ahead

    def uptime(self) -> float:
        """Returns the machine's uptime plus all pauses, so that time differences are the same as with ``wall``."""
        return super().uptime() + sum(self.pauses)

    def sleep(self, seconds: float) -> None:
        """Returns immediately, after advancing the sandbox's time by that many seconds."""
        self.pauses.append(seconds)
        self._ahead += seconds
        if seconds > 0:
            self._sandbox.advance(seconds)


@contextmanager
def fast_forward(sandbox: Sandbox | SandboxClient) -> Iterator[SandboxClock]:
    """Makes pauses in this process take no real time inside the block. They advance the sandbox's time instead."""
    clock = SandboxClock(sandbox)
    with use_clock(clock):
        yield clock


def sandbox_resources(url: str, **settings: Any) -> dict[str, RemoteRunResource]:
    """Returns the resources of all vendors under their default keys, connected to the sandbox.

    Args:
        url: The URL of the sandbox.
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
