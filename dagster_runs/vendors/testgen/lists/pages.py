"""Reads all pages of a list of what one run has found."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dagster_runs.remote_run.response_models import VendorModel
from dagster_runs.transport.errors import NotFoundError, UnexpectedResponseError
from dagster_runs.vendors.testgen.resource import TestGenResource

_PAGE = 100
_MAX_PAGES = 1000
"""Protects against a server whose list does not end."""
EntryT = TypeVar("EntryT", bound=VendorModel)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FindingsList(Generic[EntryT]):
    """A list of what a run has found: ``/{runs}/{id}/{name}``.

    Attributes:
        runs: The first part of the path.
        name: The last part of the path.
        page_model: The model of a page, with ``items``, ``limit`` and ``total``.
        entry_model: The model of an entry. An unreadable entry is returned as one without any values.
        is_identified: Whether an entry that is equal to this one is the same entry.
        description: What is listed, for messages.
        hint: Which server has the list.
        params: Further parameters of the request.
    """

    runs: str
    name: str
    page_model: type[Any]
    entry_model: type[EntryT]
    is_identified: Callable[[EntryT], bool]
    description: str
    hint: str
    params: Mapping[str, str] = field(default_factory=dict)

    def read(self, resource: TestGenResource, run_id: str) -> list[EntryT]:
        """Returns all entries of a finished run, 100 at a time, each once.

        Raises:
            NotFoundError: The server has no such list.
            UnexpectedResponseError: The list changed while it was read, several times. A retry may help.
        """
        for _ in range(2):
            found, total = self._read_once(resource, run_id)
            if len(found) == total:
                return found
            problem = f"The {self.description} of run {run_id} changed while they were read: {len(found)} of {total}"
            _logger.info("%s", problem)
        error = UnexpectedResponseError(problem, vendor=resource.vendor, hint="Retry it.")
        error.is_transient = True
        raise error

    def _read_once(self, resource: TestGenResource, run_id: str) -> tuple[list[EntryT], int]:
        found: dict[EntryT, None] = {}  # a page may repeat entries of the one before
        unidentified: list[EntryT] = []
        unreadable = total = 0
        for page in range(1, _MAX_PAGES):
            params: dict[str, str | int] = {**self.params, "page": page, "limit": _PAGE}
            try:
                response = resource.http().get([self.runs, run_id, self.name], params=params)
            except NotFoundError as error:
                if error.code is not None:
                    raise
                message = f"this server cannot list the {self.description}"
                raise NotFoundError(message, vendor=resource.vendor, status=error.status, hint=self.hint) from None
            listed = response.parse(self.page_model)
            total = listed.total
            for one in listed.items:
                if self.is_identified(one):
                    found[one] = None
                else:
                    unidentified.append(one)
            unreadable += len(listed.items.entries) - len(listed.items)
            if page * listed.limit >= total or not listed.items.entries:
                break
        # An unreadable entry belongs to no table.
        return [*found, *unidentified, *[self.entry_model() for _ in range(unreadable)]], total
