"""The real server as the tests see it."""

from __future__ import annotations

from dataclasses import dataclass, field

import testgen_api


@dataclass(frozen=True)
class RealTestGen:
    """The server under test, and a view of it that does not go through the code under test."""

    base_url: str
    username: str
    password: str = field(repr=False)
    access_token: str = field(repr=False)

    @property
    def api(self) -> testgen_api.Api:
        """The server's API."""
        return testgen_api.Api(self.base_url, self.access_token)

    def login(self) -> testgen_api.Grant:
        """Log in anew, for tokens that nobody else has."""
        return testgen_api.login(self.base_url, self.username, self.password)


def logged_in(base_url: str, username: str, password: str) -> RealTestGen:
    """The server at ``base_url``, with a login for the tests' own questions."""
    return RealTestGen(base_url, username, password, testgen_api.login(base_url, username, password).access_token)
