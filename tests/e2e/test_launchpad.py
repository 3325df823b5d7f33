"""The launchpad overrides fields of the run for one launch, and the vendor receives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from ui_browser import choose_partition, open_launchpad, write_config
from ui_demo import AMPERITY, PROPHECY, RUDDERSTACK, SEGMENTFLOW, Asset, RunningDemo, wait_for


@dataclass(frozen=True)
class Override:
    """Config for the launchpad's editor, and the resulting fields of the start request."""

    asset: Asset
    config: str
    sent: dict[str, Any]

    def __str__(self) -> str:
        return self.asset.vendor


OVERRIDES = (
    Override(
        PROPHECY,
        "parameters:\n  currency: USD\n  region: emea",
        {"parameters": {"currency": "USD", "region": "emea"}, "pipelineName": "customer_360"},
    ),
    Override(
        SEGMENTFLOW,
        "variables:\n  first_name: Ada\n  discount: {percent: 15, codes: [A1, B2]}",
        {
            "variables": {"first_name": "Ada", "discount": {"percent": 15, "codes": ["A1", "B2"]}},
            "profile": {"email": "ada@example.com"},
        },
    ),
    Override(
        AMPERITY,
        "run_mode: full",
        {
            "run_mode": "full",
            "config_id": AMPERITY.target_id,
            "range_from": "2026-11-02T00:00:00Z",
            "range_to": "2026-11-03T00:00:00Z",
        },
    ),
)


@pytest.fixture(scope="module")
def launched(demo: RunningDemo, page: Page) -> dict[Asset, str]:
    """Dagster runs, launched from the launchpad."""
    demo.sandbox.set_speed(10)
    return {one.asset: demo.launched_by(lambda one=one: launch(demo, page, one)) for one in OVERRIDES}


def launch(demo: RunningDemo, page: Page, override: Override) -> None:
    launchpad = open_launchpad(page, demo.asset_url(override.asset.key))
    if override.asset.partition:
        choose_partition(page, launchpad, override.asset.partition)
    fields = "\n".join(f"      {line}" for line in override.config.splitlines())
    write_config(page, launchpad, f"ops:\n  {override.asset.key}:\n    config:\n{fields}\n")
    launchpad.get_by_role("button", name="Materialize").click()


@pytest.mark.parametrize("override", OVERRIDES, ids=str)
def test_launchpad_overrides_are_sent_to_the_vendor(
    demo: RunningDemo, launched: dict[Asset, str], override: Override
) -> None:
    vendor = override.asset.vendor
    (request,) = wait_for(lambda: [one for one in demo.sandbox.requests(vendor) if one.method == "POST"] or None)
    assert override.sent.items() <= request.body.items()
    assert request.started_run == demo.only_remote(override.asset).id
    assert demo.wait_until_ended(launched[override.asset]) == "SUCCESS"


def test_launchpad_opens_with_the_present_values(demo: RunningDemo, page: Page) -> None:
    editor = open_launchpad(page, demo.asset_url(RUDDERSTACK.key)).locator(".CodeMirror")
    expect(editor).to_contain_text(f"profiles_id: {RUDDERSTACK.target_id}")
    page.goto(demo.url)
    sensitive = open_launchpad(page, demo.asset_url(PROPHECY.key)).locator(".CodeMirror")
    expect(sensitive).to_contain_text("pipeline_name: customer_360")
    expect(sensitive).not_to_contain_text("parameters")
