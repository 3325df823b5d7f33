"""Runs 60 Amperity workflows at once, each in a process of its own. All processes share the tenant's rate limit.

Each process executes the real step: Dagster's in-process executor, the ledger, start, polls and result. To save memory,
the processes are forked from one that has imported Dagster, instead of being launched as run workers and step workers.
Each one has its own copy of an event log in memory, with the durations of the asset's earlier runs. The time is real.
"""

import json
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dagster as dg

from benchmarks.processes import sandbox_process
from dagster_runs import AmperityResource, AmperityWorkflowRun, build_remote_run_asset
from dagster_runs.remote_run.execution.event_log import EARLIER_RUNS
from dagster_runs.sandbox import Behavior, SandboxClient, well_known

PROCESSES, PER_SECOND = 60, 10
SECONDS, SPREAD = 60.0, 0.05
"""The mean duration of the remote runs, and the standard deviation as a share of it. Durations vary normally."""
_PATIENCE = 900.0
_ROUND_PAUSE = 2.0
"""Seconds after which the client no longer counts the requests of the previous round."""


@dataclass(frozen=True)
class Round:
    """What happened in one round.

    Attributes:
        delays: Seconds from the end of each remote run to Dagster's materialization.
        failed: The number of steps that failed.
        requests: The number of requests.
        refused: The number of requests that were refused with 429.
        busiest: The number of requests in the busiest second.
    """

    delays: tuple[float, ...]
    failed: int
    requests: int
    refused: int
    busiest: int

    @property
    def refused_percent(self) -> float:
        """The share of requests that were refused, in percent."""
        return 100 * self.refused / self.requests


@cache
def measure(rounds: int, *, limited: bool = True, on_one_machine: bool = True) -> tuple[Round, ...]:
    """Measures some rounds.

    Args:
        rounds: The number of rounds.
        limited: Whether the sandbox refuses more than 10 requests in any second, and `requests_per_second` is 10.
            Otherwise neither has a limit.
        on_one_machine: Whether the processes share a temporary directory. Without it, they know as little of each other
            as on 60 machines.
    """
    return tuple(_round(number, limited, on_one_machine) for number in range(rounds))


def _round(number: int, limited: bool, on_one_machine: bool) -> Round:
    time.sleep(_ROUND_PAUSE)
    chance = random.Random(number)
    with tempfile.TemporaryDirectory() as folder, sandbox_process(Path(folder)) as sandbox:
        sandbox.configure("amperity", requests_per_second=PER_SECOND if limited else None)
        for process in range(PROCESSES):
            behavior = Behavior(running_seconds=_duration(chance))
            sandbox.add_target("amperity", "courier_group", _config_id(process), behavior)
        with dg.DagsterInstance.ephemeral() as instance:
            for _ in range(EARLIER_RUNS):
                metadata = {"dagster_runs/duration_seconds": dg.MetadataValue.float(_duration(chance))}
                instance.report_runless_asset_event(dg.AssetMaterialization("it", metadata=metadata))
            ended_at = dict(_materialized(sandbox.url, instance, Path(folder), limited, on_one_machine))
        return _found(sandbox, ended_at)


def _duration(chance: random.Random) -> float:
    return chance.gauss(SECONDS, SECONDS * SPREAD)


def _config_id(process: int) -> str:
    return f"cg-{process}"


def _materialized(
    url: str, instance: dg.DagsterInstance, folder: Path, limited: bool, on_one_machine: bool
) -> Iterator[tuple[str, float]]:
    """Executes all steps. Yields the time of the materialization of each one that succeeded."""
    fork = multiprocessing.get_context("fork")
    processes = []
    for number in range(PROCESSES):
        (own := folder / str(number)).mkdir()
        processes.append(fork.Process(target=_step, args=(number, url, instance, own, limited, on_one_machine)))
    for process in processes:
        process.start()
    for process in processes:
        process.join(_PATIENCE)
    for number in range(PROCESSES):
        result = folder / str(number) / "materialized_at"
        if result.exists():
            yield _config_id(number), json.loads(result.read_text())


def _step(number: int, url: str, instance: dg.DagsterInstance, own: Path, limited: bool, on_one_machine: bool) -> None:
    if not on_one_machine:
        tempfile.tempdir = str(own)
    asset = build_remote_run_asset(AmperityWorkflowRun(config_id=_config_id(number)), key="it")
    resources = {
        "amperity": AmperityResource(
            tenant=well_known.AMPERITY_TENANT,
            access_token=well_known.AMPERITY_TOKEN,
            base_url=f"{url}/amperity",
            requests_per_second=PER_SECOND if limited else None,
        )
    }
    if dg.materialize([asset], resources=resources, instance=instance, raise_on_error=False).success:
        [event] = instance.fetch_materializations(dg.AssetKey("it"), limit=1).records
        (own / "materialized_at").write_text(json.dumps(event.timestamp))
    os._exit(0)  # the parent's exit handlers would also run here


def _found(sandbox: SandboxClient, materialized_at: dict[str, float]) -> Round:
    ended_at = {run.target_id: run.ended_at or 0.0 for run in sandbox.runs("amperity")}
    requests = sandbox.requests("amperity")
    return Round(
        delays=tuple(at - ended_at[target] for target, at in materialized_at.items()),
        failed=PROCESSES - len(materialized_at),
        requests=len(requests),
        refused=sum(request.status == 429 for request in requests),
        busiest=sandbox.peak_requests_per_second("amperity"),
    )
