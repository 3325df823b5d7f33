"""The real server in the tests."""

from __future__ import annotations

from dataclasses import dataclass, field

import testgen_api


@dataclass(frozen=True)
class RealTestGen:
    """The server under test, with an API client that does not use the code under test."""

    base_url: str
    username: str
    password: str = field(repr=False)
    access_token: str = field(repr=False)

    @property
    def api(self) -> testgen_api.Api:
        """The API of the server."""
        return testgen_api.Api(self.base_url, self.access_token)

    def login(self) -> testgen_api.Grant:
        """Logs in again, for tokens that are not shared."""
        return testgen_api.login(self.base_url, self.username, self.password)


def logged_in(base_url: str, username: str, password: str) -> RealTestGen:
    """Returns the server at ``base_url``, with a login for requests of the tests."""
    return RealTestGen(base_url, username, password, testgen_api.login(base_url, username, password).access_token)
