"""SIGKILL to the code server and the daemon at random moments, and a new start of each."""

from __future__ import annotations

import time
from random import Random

from tests.endurance.dagster_processes import Dagster, Service

_APART, _LATER, _AWAY = 15.0, 10.0, 3.0


class Kills:
    """When to kill: at shares of the work that are drawn by the seed.

    Attributes:
        due: The shares of the work at which both are killed.
        at: Epoch seconds of each kill of one of the two.
        done: How often both were killed.
    """

    def __init__(self, seed: int, times: int, *, haste: float = 1.0) -> None:
        self.at: list[float] = []
        self.done = 0
        self._random = Random(f"{seed}/kills")
        # One in each part of the work, so that they do not come all at once.
        self.due = [(number + self._random.uniform(0.1, 0.9)) / times for number in range(times)]
        self._haste = haste

    def consider(self, progress: float, dagster: Dagster) -> None:
        """Kill both, if so much of the work is done."""
        if self.done == len(self.due) or progress < self.due[self.done]:
            return
        self.done += 1
        self._sleep(_LATER)  # so that it hits any part of a tick
        both = [dagster.daemon, dagster.code_server]
        self._random.shuffle(both)
        for service in both:
            self._kill(service)
            self._sleep(_APART)

    def _kill(self, service: Service) -> None:
        self.at.append(time.time())
        service.kill()
        self._sleep(_AWAY)
        service.start()

    def _sleep(self, most: float) -> None:
        time.sleep(self._random.uniform(0, most) * self._haste)
