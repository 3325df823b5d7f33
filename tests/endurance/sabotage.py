"""Faults in the product itself, put in on purpose: the campaign has to find each of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import dagster as dg

from dagster_runs.in_flight.completion import Completion
from dagster_runs.in_flight.finished import Ended
from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.in_flight.flights import Flights
from dagster_runs.in_flight.published import Published
from dagster_runs.in_flight.watching import Watch

VARIABLE = "ENDURANCE_SABOTAGE"


def _forget_what_was_reported() -> list[Any]:
    """A new process takes what is published already for going."""
    return [
        mock.patch.object(Flights, "_leave_out", return_value=None),
        mock.patch.object(Published, "left", lambda _, flight: flight.places),
    ]


def _trust_the_memory() -> list[Any]:
    """Nobody asks whether Dagster has stored what the last tick handed over."""
    known = Completion._known

    def trusting(self: Completion, cursor: Any, instance: Any) -> Flights:
        if self._flights is not None:
            self._token = cursor.token
        return known(self, cursor, instance)

    return [mock.patch.object(Completion, "_known", trusting)]


def _take_failed_for_good() -> list[Any]:
    """What ended badly is reported as a success."""
    take_in = Watch._take_in

    def taking_in(self: Watch, flight: Flight, status: Any, resource: Any) -> None:
        take_in(self, flight, status, resource)
        if flight.shown is Phase.NEEDS_STEP:
            flight.shown = Phase.SUCCEEDED

    return [mock.patch.object(Watch, "_take_in", taking_in)]


def _without_targets() -> list[Any]:
    """The check evaluations do not name the materialization that they judge."""
    made = Ended.evaluations
    fields = ("asset_key", "check_name", "passed", "metadata", "severity", "description", "blocking", "partition")

    def without_targets(self: Ended, *given: Any, **more: Any) -> list[dg.AssetCheckEvaluation]:
        return [
            dg.AssetCheckEvaluation(**{name: getattr(one, name) for name in fields})
            for one in made(self, *given, **more)
        ]

    return [mock.patch.object(Ended, "evaluations", without_targets)]


def _forget_the_checks() -> list[Any]:
    """The second phase of an end never comes: the materialization is all that is reported."""
    return [mock.patch.object(Ended, "evaluations", return_value=[])]


CHOICES: dict[str, Callable[[], list[Any]]] = {
    "forget-what-was-reported": _forget_what_was_reported,
    "trust-the-memory": _trust_the_memory,
    "take-failed-for-good": _take_failed_for_good,
    "without-targets": _without_targets,
    "forget-the-checks": _forget_the_checks,
}


@contextmanager
def chosen() -> Iterator[None]:
    """Inside the block, the sabotage that the environment names; usually none."""
    patches = CHOICES[name]() if (name := os.environ.get(VARIABLE)) else []
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()
