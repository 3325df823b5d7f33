"""The test suites and table groups of a project, as TestGen 5.134 and later lists them."""

from collections.abc import Iterator
from typing import Any, TypeVar
from urllib.parse import urlencode

from pydantic import Field

from dagster_runs.remote_run.response_models import EachReadable, Lenient, RunId, VendorModel
from dagster_runs.transport.errors import InvalidRequestError, NotFoundError, VendorError
from dagster_runs.vendors.testgen.resource import TestGenResource

SHAPE = "5.134"
"""The first version of the API with these lists."""
_PAGE = 100
_MAX_PAGES = 200
"""Protects against a server whose list does not end."""


class LatestRun(VendorModel):
    """The latest completed run of a suite."""

    job_execution_id: Lenient[RunId] = None


class ListedSuite(VendorModel):
    """A test suite."""

    test_suite_id: str
    test_suite_name: str
    table_group_id: Lenient[str] = None
    table_group_name: Lenient[str] = None
    description: Lenient[str] = None
    latest_run: Lenient[LatestRun] = Field(default=None, exclude=True)

    @property
    def latest_run_id(self) -> str | None:
        """The id of the latest completed run; ``None`` if there is none."""
        return self.latest_run.job_execution_id if self.latest_run is not None else None


class ListedTableGroup(VendorModel):
    """A table group."""

    table_group_id: str
    table_group_name: str
    schema_name: Lenient[str] = None
    connection_name: Lenient[str] = None


class _SuitePage(VendorModel):
    items: EachReadable[ListedSuite]
    limit: int
    total: int


class _TableGroupPage(VendorModel):
    items: EachReadable[ListedTableGroup]
    limit: int
    total: int


EntryT = TypeVar("EntryT", ListedSuite, ListedTableGroup)


def list_suites(resource: TestGenResource) -> list[ListedSuite]:
    """GET ``/projects/{code}/test-suites``, all pages.

    Raises:
        VendorError: The call failed, or this server has no such list.
    """
    return list(_entries(resource, "test-suites", _SuitePage))


def list_table_groups(resource: TestGenResource) -> list[ListedTableGroup]:
    """GET ``/projects/{code}/table-groups``, all pages.

    Raises:
        VendorError: The call failed, or this server has no such list.
    """
    return list(_entries(resource, "table-groups", _TableGroupPage))


def _entries(resource: TestGenResource, kind: str, page_model: type[Any]) -> Iterator[Any]:
    if resource.project_code is None:
        raise InvalidRequestError(f"{kind} can only be listed within a project", vendor=resource.vendor)
    for page in range(1, _MAX_PAGES + 1):
        try:
            response = resource.http().get(
                ["projects", resource.project_code, kind], params={"page": page, "limit": _PAGE}
            )
        except NotFoundError as error:
            if error.code is not None:
                raise
            hint = f"Use TestGen {SHAPE} or later, or list the suites and table groups in YAML."
            raise InvalidRequestError(f"this server does not list {kind}", vendor=resource.vendor, hint=hint) from None
        listed = response.parse(page_model)
        yield from listed.items
        if page * listed.limit >= listed.total or not listed.items.entries:
            return


def server_version(resource: TestGenResource) -> str | None:
    """Returns the version that the server reports; ``None`` if it reports none, as most installations do."""
    try:
        reported = resource.http().get(["health"]).json
    except VendorError:
        return None
    version = reported.get("version") if isinstance(reported, dict) else None
    return version if isinstance(version, str) else None


def suite_url(resource: TestGenResource, suite_id: str) -> str | None:
    """Returns the URL of the UI's page for a suite; ``None`` unless ``ui_url`` and ``project_code`` are set."""
    return _page_url(resource, "test-suites:definitions", test_suite_id=suite_id)


def table_group_url(resource: TestGenResource, name: str) -> str | None:
    """Returns the URL of the UI's page for a table group; ``None`` unless ``ui_url`` and ``project_code`` are set."""
    return _page_url(resource, "table-groups", table_group_name=name)


def _page_url(resource: TestGenResource, page: str, **query: str) -> str | None:
    if resource.ui_url is None or resource.project_code is None:
        return None
    return f"{resource.ui_url.rstrip('/')}/{page}?{urlencode({'project_code': resource.project_code, **query})}"
