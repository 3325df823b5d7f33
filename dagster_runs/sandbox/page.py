"""The sandbox's banner in the terminal, and its overview page at `/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from urllib.parse import urlencode

from dagster_runs.sandbox.runs import Target
from dagster_runs.sandbox.state import SandboxState
from dagster_runs.sandbox.vendor import Vendor

_WARNING = "This is a simulation on your own machine. It is not the vendor, and nothing here is real."
_MAX_ROWS = 20


def render_banner(vendors: Sequence[Vendor], url: str) -> str:
    """Returns the banner for the terminal."""
    lines = ["dagster_runs sandbox", _WARNING, ""]
    shown: list[tuple[list[str], Vendor]] = []
    for vendor in vendors:
        lines += [vendor.title, f"  {'base URL':<22}{url}{vendor.base_path}"]
        lines += [f"  {name:<22}{value}" for name, value in vendor.connection_info.items()]
        same = next((other.title for ids, other in shown if ids == list(vendor.targets)), None)
        lines += [f"  ids: those of {same}" if same else "  ids of what it can run, and what happens:"]
        lines += [] if same else [f"    {target.id:<40}{_describe(target)}" for target in vendor.targets.values()]
        shown.append((list(vendor.targets), vendor))
        lines += [""]
    lines += ["In Python, these ids are constants of dagster_runs.sandbox.well_known."]
    lines += [f"To start a run as a colleague would, press its button on the page: {url}/", f"Overview: {url}/"]
    lines += [f"Controls: {url}/_sandbox/health, /requests, /runs, /faults, ..."]
    return "\n".join(lines)


def render_page(state: SandboxState, url: str) -> str:
    """Returns the overview page for the browser."""
    sections = "".join(_render_vendor(vendor, url) for vendor in state.vendors)
    faults = "".join(f"<li><code>{escape(str(active.fault))}</code></li>" for active in state.faults.active)
    requests = _render_table(
        ["#", "vendor", "request", "status", "fault"],
        [
            [
                str(request.seq),
                request.vendor or "",
                f"{request.method} {request.path}",
                str(request.status or "none"),
                request.fault or "",
            ]
            for request in reversed(state.log.find()[-_MAX_ROWS:])
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
form {{ margin: 0 }}
th, td {{ border: 1px solid #ddd; padding: .2rem .6rem; text-align: left; font-size: 13px }}
.warning {{ background: #fff4d6; border: 1px solid #e8c96a; padding: .6rem 1rem }}
code {{ font-size: 13px }}
</style>
</head>
<body>
<h1>dagster_runs sandbox</h1>
<p class="warning">{_WARNING} <em>Start a run</em> does what a colleague or the vendor's schedule would.
Simulated time runs at {state.clock.speed:g} times the speed of real time.</p>
{sections}
<h2>Faults</h2>
<ul>{faults or "<li>none</li>"}</ul>
<h2>Latest requests</h2>
{requests}
</body>
</html>
"""


def _render_vendor(vendor: Vendor, url: str) -> str:
    connection = _render_table([], [["base URL", url + vendor.base_path], *map(list, vendor.connection_info.items())])
    rows = "".join(_render_target(vendor, target) for target in vendor.targets.values())
    targets = f"<table><tr><th>what it can run</th><th>id</th><th>runs</th><th></th></tr>{rows}</table>"
    newest = list(vendor.runs.values())[-_MAX_ROWS:]
    runs = _render_table(
        ["run", "kind", "target", "state"],
        [
            [run_snapshot.id, run_snapshot.kind, run_snapshot.target_id, run_snapshot.state]
            for run_snapshot in (vendor.snapshot(run) for run in reversed(newest))
        ],
    )
    return f"<h2>{escape(vendor.title)}</h2>\n{connection}\n{targets}\n{runs if newest else ''}\n"


def _describe(target: Target) -> str:
    name = str(target.fields.get("test_suite") or target.fields.get("name") or "")
    behavior = ", ".join(_behavior(target))
    return f"{target.kind.replace('_', ' ')} {name}".rstrip() + (f" ({behavior})" if behavior else "")


def _behavior(target: Target) -> Iterator[str]:
    core = target.defaults.core
    if core.get("outcome", "succeed") != "succeed" or target.defaults.options.get("failure_style"):
        yield "is canceled" if core.get("outcome") == "cancel" else "fails"
    if "running_seconds" in core:
        yield f"takes {core['running_seconds']:g} s"


def _render_target(vendor: Vendor, target: Target) -> str:
    query = urlencode({"vendor": vendor.name, "target_id": target.id, "source": "user", "show": "page"})
    button = f'<form method="post" action="/_sandbox/runs?{escape(query)}"><button>Start a run</button></form>'
    cells = [escape(_describe(target)), f"<code>{escape(target.id)}</code>", str(len(target.runs)), button]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _render_table(head: list[str], rows: list[list[str]]) -> str:
    top = f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"
