"""The sandbox's banner in the terminal, and its overview page at `/`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dagster_runs.sandbox.vendor import Vendor
from dagster_runs.sandbox.world import World

_WARNING = "This is a simulation on your own machine. It is not the vendor, and nothing here is real."
_SHOWN = 20


def banner(vendors: Sequence[Vendor], url: str) -> str:
    """Returns the banner for the terminal."""
    lines = ["dagster_runs sandbox", _WARNING, ""]
    for vendor in vendors:
        lines += [vendor.title, f"  {'base URL':<22}{url}{vendor.base_path}"]
        lines += [f"  {name:<22}{value}" for name, value in vendor.logins.items()]
        lines += [""]
    lines += [f"Overview: {url}/", f"Controls: {url}/_sandbox/health, /requests, /runs, /faults, ..."]
    return "\n".join(lines)


def page(world: World, url: str) -> str:
    """Returns the overview page for the browser."""
    sections = "".join(_vendor(vendor, url) for vendor in world.vendors)
    faults = "".join(f"<li><code>{escape(str(active.fault))}</code></li>" for active in world.faults.active)
    requests = _table(
        ["#", "vendor", "request", "status", "fault"],
        [
            [str(one.seq), one.vendor or "", f"{one.method} {one.path}", str(one.status or "none"), one.fault or ""]
            for one in reversed(world.log.list()[-_SHOWN:])
        ],
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="5">
<title>dagster_runs sandbox</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; margin: .5rem 0 }}
th, td {{ border: 1px solid #ddd; padding: .2rem .6rem; text-align: left; font-size: 13px }}
.warning {{ background: #fff4d6; border: 1px solid #e8c96a; padding: .6rem 1rem }}
code {{ font-size: 13px }}
</style>
</head>
<body>
<h1>dagster_runs sandbox</h1>
<p class="warning">{_WARNING} Simulated time runs at {world.clock.speed:g} times the speed of real time.</p>
{sections}
<h2>Faults</h2>
<ul>{faults or "<li>none</li>"}</ul>
<h2>Last requests</h2>
{requests}
</body>
</html>
"""


def _vendor(vendor: Vendor, url: str) -> str:
    facts = _table([], [["base URL", url + vendor.base_path], *map(list, vendor.logins.items())])
    targets = _table(
        ["target", "id", "runs"],
        [
            [f"{target.kind} {target.fields.get('name', '')}", target.id, str(len(target.runs))]
            for target in vendor.targets.values()
        ],
    )
    newest = list(vendor.runs.values())[-_SHOWN:]
    runs = _table(
        ["run", "kind", "target", "state"],
        [
            [shown.id, shown.kind, shown.target_id, shown.state]
            for shown in (vendor.snapshot(run) for run in reversed(newest))
        ],
    )
    known = f"<details><summary>{len(vendor.targets)} targets</summary>{targets}</details>"
    return f"<h2>{escape(vendor.title)}</h2>\n{facts}\n{known}\n{runs if newest else ''}\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"
