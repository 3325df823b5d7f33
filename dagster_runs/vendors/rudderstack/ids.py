"""The types of RudderStack's ids, as users enter them."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, StringConstraints

from dagster_runs.remote_run.field_types import id_in_address, is_address

_KSUID = r"(?<![A-Za-z0-9_-])[A-Za-z0-9]{27}(?![A-Za-z0-9_-])"
_ID = StringConstraints(max_length=200)
_CHARACTERS = re.compile(r"[A-Za-z0-9_-]+")


def _not_an_address(what: str) -> BeforeValidator:
    def check(text: Any) -> Any:
        if isinstance(text, str) and is_address(text):
            raise ValueError(id_in_address(text, _KSUID, what))
        if isinstance(text, str) and not _CHARACTERS.fullmatch(text):
            raise ValueError(
                f"{text!r} is not {what}, which has only letters, digits, '-' and '_'; copy it from the URL of its page"
            )
        return text

    return BeforeValidator(check)


ProjectId = Annotated[str, _ID, _not_an_address("the project's id")]
ConnectionId = Annotated[str, _ID, _not_an_address("the connection's id")]
