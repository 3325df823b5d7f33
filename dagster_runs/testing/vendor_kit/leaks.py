"""What must not be shown anywhere: the secrets of the resource, and the tokens that the vendor issued."""

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.testing.vendor_kit.results import ScenarioFailedError

_MIN_LENGTH = 6
"""Shorter values also occur in ordinary text."""


class Secrets:
    """The secrets of a resource.

    Args:
        resource: The resource.
    """

    def __init__(self, resource: RemoteRunResource) -> None:
        self._resource = resource
        self._texts: dict[str, str] = {}
        for field in type(resource).secret_fields:
            self._add(f"the secret in {field}", resource.secret(field))

    def read_headers(self) -> None:
        """Adds the credentials in the headers, which may be a token that the vendor issued."""
        settings = {str(value) for name, value in self._resource if name not in type(self._resource).secret_fields}
        for name, value in self._resource.auth().headers().items():
            credentials = value.rpartition(" ")[2]
            if credentials not in settings:
                self._add(f"the credentials in the header {name}", credentials)

    def _add(self, name: str, secret: str | None) -> None:
        if secret is not None and len(secret) >= _MIN_LENGTH:
            encoded = base64.b64encode(secret.encode()).decode()
            for spelling in (secret, quote(secret, safe=""), encoded, json.dumps(secret)[1:-1]):
                self._texts.setdefault(spelling, name)

    @property
    def names(self) -> list[str]:
        """What the secrets are."""
        return list(dict.fromkeys(self._texts.values()))

    def check(self, where: str, text: str) -> None:
        """Checks that a text contains no secret.

        Raises:
            ScenarioFailedError: It does. The message names the secret, and does not contain it.
        """
        found = next((name for spelling, name in self._texts.items() if spelling in text), None)
        if found is not None:
            raise ScenarioFailedError(f"{where} contains {found}")

    def masked(self, text: str) -> str:
        """Returns a text without secrets."""
        for spelling in sorted(self._texts, key=len, reverse=True):
            text = text.replace(spelling, "[secret]")
        return text


class _Handler(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._lines = lines
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


@contextmanager
def captured_logs(*packages: str) -> Iterator[list[str]]:
    """Yields the list that the log lines of these packages are added to. They are not shown meanwhile."""
    lines: list[str] = []
    handler = _Handler(lines)
    loggers = [logging.getLogger(name.partition(".")[0]) for name in dict.fromkeys(packages)]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    try:
        yield lines
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
