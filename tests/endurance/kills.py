"""Kills and restarts the code server and the daemon at random times."""

from __future__ import annotations

import time
from random import Random

from tests.endurance.dagster_processes import Dagster, Service

_APART, _LATER, _AWAY = 15.0, 10.0, 3.0


class Kills:
    """Decides when to kill, after shares of the work that depend on the seed.

    Attributes:
        due: The shares of the work after which both are killed.
        at: Epoch seconds of each kill.
        done: How often both were killed.
    """

    def __init__(self, seed: int, times: int, *, haste: float = 1.0) -> None:
        self.at: list[float] = []
        self.done = 0
        self._random = Random(f"{seed}/kills")
        # One in each part of the work, so that they are spread out.
        self.due = [(number + self._random.uniform(0.1, 0.9)) / times for number in range(times)]
        self._haste = haste

    def consider(self, progress: float, dagster: Dagster) -> None:
        """Kills both if this share of the work is due."""
        if self.done == len(self.due) or progress < self.due[self.done]:
            return
        self.done += 1
        self._sleep(_LATER)  # so that it may hit any part of a tick
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
