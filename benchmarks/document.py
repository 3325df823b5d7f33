"""`docs/performance.md`: everything that was measured, in the words of this file."""

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks import ends, figures, in_flight, loading, pacing, plots, ticking
from benchmarks.in_flight import InFlight
from benchmarks.table import Figure, as_markdown
from dagster_runs.sensors.completion import sensor

_PAGE = """\
# Performance

Written by `make bench`; no number is typed by hand. All figures were measured in one run, on one machine, beside
[dagster-rudderstack](https://pypi.org/project/dagster-rudderstack/) {peer} as published, and beside the limit that
this package sets itself. A cell is a median, with the least and the greatest value; `EXCEEDED` marks a limit that was
not kept.

Measured with Python {python}, Dagster {dagster}, {cores} cores, {memory}; {load}

## To repeat it

```
make bench              # measures, prints the table, and writes this page and its picture: {minutes}
make bench QUICK=1      # a smaller one that only prints, in a few minutes
```

`TMPDIR` says where Dagster's homes are: a SQLite event log waits for its disk at each event.

## The figures

{table}
![How the figures grow](performance.svg)

## What was measured, and how

- **A run that waits**: real run workers and step processes of Dagster's default executor, launched through a web
  server, each waiting for a remote run that goes on for hours; all kinds at the same time. RSS counts shared memory
  in each process, PSS once. A deferred run has no process: what it needs is its place in the sensor's table, measured
  with {most:,} of them.
- **Delay and calls**: {ends} runs of each kind, with the same {minutes_each}-minute remote runs for all. Each pause
  of ours and of the peer's moves the sandbox's time instead of being waited for; what Dagster, HTTP and the event log
  need is waited for. Ours know {kept} earlier runs. The completion sensor ticks every {interval:.0f} s, which a
  deferred run's delay cannot beat on average by more than half.
- **From the step's start to the POST**: the time of Dagster's `STEP_START` to that of the POST's arrival in the
  sandbox. Ours writes its ledger before; the peer has none.
- **The ledger**: the same run with it and without, in turn, in one process that has run others, each succeeding at
  the first attempt. The limit is for how much later the end is seen. What is read and written before the POST delays
  all the rest; the note of the vendor's id is written while nothing but the first pause is due, which is as much
  shorter. So all writes and reads together, the row below it, take longer than they delay the run; they are what it
  costs a deferred run's step, which has no pause, and one with a `poll_interval` of a second or two. The query that
  tells whether the Dagster run was terminated is not counted, though the ledger learns from it when that began: it is
  asked anyhow. Nor are the durations of earlier runs, which pacing reads in that pause. Each run is of an asset of its
  own; what an asset has noted in the last hour is read before each start, so one that runs every minute costs more.
- **Ticks**: the sensor in a process of its own, as the daemon has it: evaluated, then its events stored one by one,
  then its cursor. All runs are really started at the sandbox; one by a real step, whose ledger entries are copied for
  the others. "New process" is the longest of the ticks until all runs are known: a tick reads the event log for its
  first {reading:.0f} s at most, and begins looks in its first {looking:.0f} s. "Nothing to do" is a tick when no run
  is due; of thousands at a vendor that does not list, there is always one. "Reports" is the longest tick after all
  runs have ended, of those within {reporting:.0f} s. There are {assets} assets, unless each run has its own.
- **Loading**: {loading:,} assets defined and resolved in a new process, imports left out.

### Ticks in full

{ticks}
## Pacing

Status calls that are saved while a run cannot have ended are made where it probably ends. The simulation asks the
same runs of `Pace` and of a fixed pace of ten seconds, which is the peer's: how long after its end is a run known to
have ended, and after how many calls? Each call takes 0.1 to 0.3 s. Runs are {runs} of each asset, one after the
other, with up to {kept} earlier ones known.

Over all later runs the median delay is {delay:.0f} % of the fixed pace's, for {calls:.0f} % of its calls. What can be
had differs:

- Where earlier runs tell the next one's end to within some percent, the calls saved on the way pay for a look every
  half second to two seconds where it ends.
- Where durations scatter widely (the lognormal ones), a run may end at nearly any time, and the calls that are saved
  have to be spread over all of it. So these assets alone do not reach a fifth: the widest is seen about as late as at
  the fixed pace, for somewhat fewer calls.
- A first run has nothing to go by, and is looked at as the peer does.

On average over an asset's runs the calls stay below the fixed pace's, for each asset. A single run may cost up to
twice as many: one that ends late in the time in which ends are likely.

{pacing}"""
_TICKS = (
    "vendor, runs, assets, storage",
    "new process",
    "next",
    "nothing to do",
    "longest that reports",
    "its events",
    "evaluated",
)


def write(size: figures.Size, measured: Sequence[Figure], found: Sequence[InFlight], path: Path, took: float) -> None:
    """The page, and its picture beside it."""
    plots.write(size, found, path.with_name("performance.svg"))
    path.write_text(
        _PAGE.format(
            peer=version("dagster_rudderstack"),
            python=platform.python_version(),
            dagster=version("dagster"),
            cores=os.cpu_count(),
            memory=_memory(),
            load=_load(),
            minutes=f"{took / 60:.0f} minutes here",
            table=as_markdown(figure.cells for figure in measured),
            most=max(size.in_flight),
            ends=size.ends,
            minutes_each=ends.MINUTES,
            kept=pacing.KEPT,
            interval=ends.INTERVAL,
            reading=sensor.READING,
            looking=sensor.LOOKING,
            reporting=ticking.MAX_REPORTING_SECONDS,
            assets=in_flight.ASSETS,
            loading=loading.ASSETS,
            ticks=as_markdown([_ticks(one) for one in found], _TICKS),
            runs=pacing.ASSETS[0].runs,
            delay=pacing.share_of_delay(pacing.ASSETS),
            calls=pacing.share_of_calls(pacing.ASSETS),
            pacing=as_markdown(pacing.rows(), pacing.HEADER),
        )
    )


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


def _memory() -> str:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if sys.platform != "win32" else 0
    return f"{size / 2**30:.0f} GiB of memory"


def _load() -> str:
    return f"load average {os.getloadavg()[2]:.1f} at the end, of which others' work is a part where it is above 2."
