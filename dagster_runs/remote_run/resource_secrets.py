"""Removes the secrets of a resource from what its vendor's code says."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_runs.transport.redaction import Redactor

if TYPE_CHECKING:
    from dagster_runs.remote_run.resource import RemoteRunResource

_TEXT_METADATA = (dg.TextMetadataValue, dg.UrlMetadataValue, dg.MarkdownMetadataValue)


def cleaner_of(resource: "RemoteRunResource") -> Callable[[str], str]:
    """Returns a function that removes the resource's secrets and its client's tokens from a text.

    Call this once for several texts, because it reads the secrets.
    """
    client, redactor = resource.existing_client, Redactor(_secrets_of(resource))

    def clean(text: str) -> str:
        # Without a client, no token was used.
        return redactor.clean(text if client is None else client.clean(text))

    return clean


def clean_metadata(metadata: Mapping[str, Any], clean: Callable[[str], str]) -> dict[str, Any]:
    """Returns metadata whose texts are cleaned.

    Args:
        metadata: The metadata.
        clean: The function from `cleaner_of`.
    """

    def cleaned(value: Any) -> Any:
        if isinstance(value, str):
            return clean(value)
        if isinstance(value, _TEXT_METADATA) and value.value is not None:
            return type(value)(clean(value.value))
        return value

    return {key: cleaned(value) for key, value in metadata.items()}


def _secrets_of(resource: "RemoteRunResource") -> Iterator[str | None]:
    for name in resource.secret_fields:
        with suppress(Exception):  # its environment variable is not set
            yield resource.secret(name)
