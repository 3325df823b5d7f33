"""Writes `docs/performance.md`: all measurements, with the explanations in this file."""

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks import (
    ends,
    figures,
    in_flight,
    loading,
    many_in_yaml,
    many_processes,
    many_tables,
    plots,
    poll_simulation,
    ticking,
)
from benchmarks.in_flight import InFlight
from benchmarks.table import Figure, as_markdown
from dagster_runs.sensors import limits

_PAGE = """\
# Performance

`make bench` writes this page with all its numbers. All figures were measured in one run on one machine, except those
that the next paragraph names, if any. They are compared with
[dagster-rudderstack](https://pypi.org/project/dagster-rudderstack/) {peer} as published, and with the
limits that this project sets for itself. A cell shows the median, and the minimum and maximum in parentheses.
`EXCEEDED` marks a limit that was not met.

Measured with {measured_with} {load}

* [Results](#results)
* [How it was measured](#how-it-was-measured)
* [Ticks in detail](#ticks-in-detail)
* [Poll schedule](#poll-schedule)
* [Run the benchmarks](#run-the-benchmarks)

## Results

{table}
![How the figures grow with the number of runs](performance.svg)

## How it was measured

- **Waiting runs**: real run workers and step processes of Dagster's default executor, launched through a web server.
  Each one waits for a remote run that lasts for hours, and all kinds of runs wait at the same time. RSS counts shared
  memory for every process, PSS counts it once. A deferred run has no process. It only needs memory in the sensor's
  process, which was measured with {most:,} of them.
- **Time from the run's end to Dagster's event, and status calls**: {ends} runs of each kind, with the same
  {minutes_each}-minute remote runs for all. The pauses between polls advance the sandbox's time instead of being waited
  for. The time that Dagster, HTTP and the event log need is real. dagster_runs knows {kept} earlier runs. The
  completion sensor ticks every {interval:.0f} s, so the average delay of a deferred run cannot be less than half of
  that.
- **From the step's start to the POST**: from the time of Dagster's `STEP_START` event to the arrival of the POST at the
  sandbox. dagster_runs writes its ledger before the POST; dagster-rudderstack has no ledger.
- **The ledger**: the same run with and without the ledger, alternately, in one process that has executed other runs
  before. Each run succeeds at the first attempt. The limit applies to how much later the run's end is detected. Reads
  and writes before the POST delay the start of the remote run. The entry with the vendor's run id is written during the
  first pause, which becomes shorter by the same amount. So the total time of all reads and writes (the next row of the
  table) exceeds the delay. The total is what the ledger costs if there is no such pause: in the step of a deferred run,
  or with a `poll_interval` of a second or two. Two queries are not included. One checks whether the Dagster run was
  terminated. It is needed anyway, and the ledger also takes the start time of the Dagster run from it. The other one
  reads the durations of earlier runs for the poll schedule, during the same pause. Each run belongs to its own asset.
  Since the entries that an asset has written in the last hour are read before each start, an asset that runs every
  minute costs more.
- **Ticks**: the sensor runs in its own process, as in the daemon. The tick is evaluated, then its events are stored one
  by one, then its cursor. All runs are really started in the sandbox: one of them by a real step, whose ledger entries
  are copied for the others. "First tick of a new process" is the longest of the ticks until all runs are known: a tick
  reads the event log until second {reading:.0f}, and begins status calls until second {polling:.0f}. "Nothing to do" is
  a tick in which no run is due. With thousands of runs of a vendor that cannot list them, some run is always due. "Tick
  that reports" is the longest of the ticks that report the outcomes after all runs have ended, for up to
  {reporting:.0f} s. There are {assets} assets, unless each run has its own.
- **{processes} processes**: Each one executes the real step with a remote run of {seconds:.0f} s ± {spread:.0f}%, and
  the time is real. To save memory, the processes are forked from one that has imported Dagster; real run workers and
  step processes would need the memory of {processes} waiting runs. Each process has its own event log in memory, with
  {kept} earlier runs. All processes of a round begin at once, as fast as the machine allows. The sandbox refuses a
  request if there were {per_second} others in the second before it; refused requests count too. Each value is the
  median of one round. "As on as many machines" means that each process has its own temporary directory, so that it
  shares no rate limit with the others.
- **Loading**: {loading:,} assets are defined and resolved in a new process. Imports are not included.
{tables}{yaml}
## Ticks in detail

{ticks}
## Poll schedule

dagster_runs polls rarely while a run is unlikely to have finished, and uses the saved calls around the time when it
probably finishes. The simulation compares this with polling every ten seconds, as dagster-rudderstack does. Both poll
the same runs: How long after its end is a run detected, and after how many calls? Each call takes 0.1 to 0.3 s. Each
asset has {runs} runs, one after another, and up to {kept} earlier ones are known.

For assets with earlier runs, the median delay is {delay:.0f}% of the delay of a fixed interval, with {calls:.0f}% of
its calls. The gain depends on the durations:

- If earlier runs predict the end of the next one within a few percent, the saved calls pay for a poll every half second
  to two seconds around the end.
- If durations vary widely (the lognormal ones), a run may end at almost any time, and the saved calls have to be spread
  over all of it. So these assets alone do not reach one fifth of the delay. The one that varies most is detected about
  as late as with the fixed interval, with slightly fewer calls.
- A first run has no earlier runs to learn from, and is polled every ten seconds.

For each asset, the average number of calls per run stays below that of the fixed interval. A single run may need up to
twice as many calls, if it ends late in the period in which runs are likely to end.

{schedule}
## Run the benchmarks

```
make bench              # measure everything, print the table, and write this page and its chart: {minutes}
make bench QUICK=1      # measure fewer runs and only print the table, in less than 10 minutes
make bench ROWS=yaml    # measure only the rows of `dg list defs`, and leave the others as they are; or ROWS=tables,
                        # or ROWS=testing
```

`TMPDIR` determines where the Dagster homes are stored. With SQLite, each event waits for that disk.
"""
_HOW = {
    "tables": f"""\
- **Checks of {many_tables.TABLES} tables**: one Dagster run executes all checks, with one run of the suite. The time
  begins with the poll that shows the suite's end, and includes the calls and storing the events with SQLite. The
  sandbox is a process of its own on the same machine.
""",
    "testing": """\
- **Tests with the test kit**: time of the processor for a test with the kit's fixtures, after the first one. Imports
  and what a session creates once are not included. The TestGen run has ended at the first poll, or after a simulated
  hour in which the completion sensor has at most 20 ticks.
""",
    "yaml": f"""\
- **`dg list defs`**: the whole process, in two projects as `create-dagster` makes them: one with a YAML file with
  {many_in_yaml.RUNS:,} runs of RudderStack Profiles, one with a Python file of the same assets. They alternate.
  `dg` loads YAML files twice, and Python files once.
""",
}
"""What the page says about how the rows were measured that can be measured alone."""
_RESULTS = "## Results\n\n"
_AFTER_HOW = "## Ticks in detail\n"
_FIRST = "Measured with "
_LATER = "Measured later with `make bench ROWS=%s`:"
_TICKS = (
    "vendor, runs, assets, storage",
    "first ticks of a new process",
    "next tick",
    "tick with nothing to do",
    "longest tick that reports",
    "its events",
    "its evaluation",
)


def write(size: figures.Size, measured: Sequence[Figure], found: Sequence[InFlight], path: Path, took: float) -> None:
    """Writes the page, and the chart next to it."""
    plots.write(size, found, path.with_name("performance.svg"))
    path.write_text(
        _PAGE.format(
            peer=version("dagster_rudderstack"),
            measured_with=_measured_with(),
            load=_load(),
            minutes=f"{took / 60:.0f} minutes on this machine",
            table=as_markdown(figure.cells for figure in measured),
            most=max(size.in_flight),
            ends=size.ends,
            minutes_each=ends.MINUTES,
            kept=poll_simulation.KEPT,
            interval=ends.INTERVAL,
            reading=limits.TICK_READ_SHARE * limits.TICK_SECONDS,
            polling=limits.TICK_POLL_SHARE * limits.TICK_SECONDS,
            reporting=ticking.MAX_REPORT_SECONDS,
            assets=in_flight.ASSETS,
            loading=loading.ASSETS,
            **_HOW,
            processes=many_processes.PROCESSES,
            seconds=many_processes.SECONDS,
            spread=100 * many_processes.SPREAD,
            per_second=many_processes.PER_SECOND,
            ticks=as_markdown([_ticks(one) for one in found], _TICKS),
            runs=poll_simulation.ASSETS[0].runs,
            delay=poll_simulation.share_of_delay(poll_simulation.ASSETS),
            calls=poll_simulation.share_of_calls(poll_simulation.ASSETS),
            schedule=as_markdown(poll_simulation.rows(), poll_simulation.HEADER),
        )
    )


def replace_rows(groups: Sequence[str], measured: Sequence[Figure], path: Path) -> None:
    """Replaces some rows of the page, and says in what they were measured. Other rows keep their figures.

    Args:
        groups: The groups of rows, as in `figures.ROWS`.
        measured: The figures of these groups.
        path: The page.
    """
    text = path.read_text()
    before, heading, after = text.partition(_RESULTS)
    table, blank, after = after.partition("\n\n")
    rows = table.splitlines()
    for figure in measured:
        [row] = as_markdown([figure.cells], header=()).splitlines()[-1:]
        name = row[: row.index(" | ") + 3]
        place = next((place for place, other in enumerate(rows) if other.startswith(name)), len(rows))
        rows[place : place + 1] = [row]
    for group in groups:
        note = f"{_LATER % group} {_measured_with()} {_load()}"
        kept = [line for line in before.splitlines() if not line.startswith(_LATER % group)]
        place = next(place for place, line in enumerate(kept) if line.startswith(_FIRST)) + 1
        before = "\n".join([*kept[:place], note, *kept[place:]]) + "\n"
        if _HOW[group] not in after:
            after = after.replace(f"\n{_AFTER_HOW}", f"{_HOW[group]}\n{_AFTER_HOW}")
    path.write_text(before + heading + "\n".join(rows) + blank + after)


def _ticks(one: InFlight) -> tuple[str, ...]:
    longest = max(one.reporting, key=lambda tick: tick.seconds)
    return (
        f"{one.case.vendor}, {one.case.runs:,}, {one.case.assets:,}, {one.storage}",
        " + ".join(f"{tick.seconds:.2f} s" for tick in one.cold),
        f"{one.soon.seconds:.2f} s",
        f"{one.warm.seconds:.3f} s",
        f"{longest.seconds:.2f} s",
        str(longest.events),
        f"{longest.evaluated:.2f} s",
    )


def _measured_with() -> str:
    return f"Python {platform.python_version()}, Dagster {version('dagster')}, {os.cpu_count()} cores and {_memory()}."


def _memory() -> str:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if sys.platform != "win32" else 0
    return f"{size / 2**30:.0f} GiB of memory"


def _load() -> str:
    load = os.getloadavg()[2]
    return f"The load average was {load:.1f} at the end; above 2, other processes used the machine too."
