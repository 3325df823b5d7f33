"""Draws charts of how the figures grow with the number of runs."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks import ends, figures, in_flight, waiting
from benchmarks.in_flight import InFlight
from benchmarks.processes import MEGABYTE

mpl.rcParams.update({"svg.hashsalt": "dagster_runs", "svg.fonttype": "none", "font.size": 9})
_KINDS = {
    "peer": ("dagster-rudderstack", "tab:red"),
    "poll": ('wait="poll"', "tab:blue"),
    "defer": ('wait="defer"', "tab:green"),
}
# Dashed, because one line covers the other.
_LINES = {"peer": "-", "poll": "--"}
_STYLES = {"sqlite": "-", "postgres": "--"}
_TICKS = {"cold": "tick of a new process", "warm": "tick with nothing to do", "reporting": "tick that reports"}


def write(size: figures.Size, found: Sequence[InFlight], path: Path) -> None:
    """Writes one picture with four charts: memory, delays and calls, and the ticks of two vendors."""
    picture, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
    _memory(axes[0][0], size, found)
    _ends(axes[0][1], size)
    _ticks(axes[1][0], found, "testgen")
    _ticks(axes[1][1], found, "prophecy")
    picture.savefig(path, metadata={"Date": None})
    plt.close(picture)


def _memory(axes: Axes, size: figures.Size, found: Sequence[InFlight]) -> None:
    runs = [1, *size.in_flight]
    costs = waiting.measure(size.waiting).costs
    for kind in ("peer", "poll"):
        name, color = _KINDS[kind]
        each = sum(cost.pss for cost in costs[kind]) / len(costs[kind]) / MEGABYTE
        # Extrapolated from a few runs, because ten thousand would not fit on any machine.
        axes.plot(
            runs,
            [each * count for count in runs],
            label=f"{name}: {each:.0f} MB each",
            color=color,
            linestyle=_LINES[kind],
        )
    of = [
        one
        for one in found
        if (one.storage, one.case.vendor, one.case.assets) == ("sqlite", "testgen", in_flight.ASSETS)
    ]
    name, color = _KINDS["defer"]
    label = f"{name}: the sensor's process, measured"
    axes.plot([one.case.runs for one in of], [one.pss / MEGABYTE for one in of], "o-", label=label, color=color)
    axes.set(xscale="log", yscale="log", xlabel="waiting runs", ylabel="MB (PSS)", title="Memory")
    axes.legend()


def _ends(axes: Axes, size: figures.Size) -> None:
    for kind, (name, color) in _KINDS.items():
        seen = ends.measure(size.ends)[kind]
        axes.scatter(seen.calls, seen.delays, label=name, color=color, s=14, alpha=0.7)
    axes.set(
        xlabel="status calls per run",
        ylabel="seconds from the run's end to Dagster's event",
        title=f"Runs of {ends.MINUTES} min",
    )
    axes.legend()


def _ticks(axes: Axes, found: Sequence[InFlight], vendor: str) -> None:
    for storage, style in _STYLES.items():
        of = [
            one
            for one in found
            if (one.storage, one.case.vendor, one.case.assets) == (storage, vendor, in_flight.ASSETS)
        ]
        if not of:
            continue
        runs = [one.case.runs for one in of]
        seconds = {
            "cold": [max(tick.seconds for tick in one.cold) for one in of],
            "warm": [one.warm.seconds for one in of],
            "reporting": [max(tick.seconds for tick in one.reporting) for one in of],
        }
        for (kind, name), color in zip(_TICKS.items(), ("tab:blue", "tab:green", "tab:orange"), strict=True):
            label = f"{name}, {storage}"
            axes.plot(runs, seconds[kind], f"o{style}", color=color, label=label, markersize=4)
    axes.axhline(40, color="gray", linewidth=0.8)
    axes.set(
        xscale="log", yscale="log", xlabel="runs in flight", ylabel="seconds", title=f"Ticks: {figures.VENDORS[vendor]}"
    )
    axes.legend(fontsize=7)
