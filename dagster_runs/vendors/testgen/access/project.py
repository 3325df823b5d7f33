"""Checks that a TestGen server can be reached, and that the token's user has access to the project."""

from typing import TYPE_CHECKING

from dagster_runs.transport.errors import NotFoundError, as_outage
from dagster_runs.vendors.testgen import models

if TYPE_CHECKING:
    from dagster_runs.vendors.testgen.resource import TestGenResource


def checked_project(resource: "TestGenResource") -> str:
    """Lists the newest jobs of the project, or without one, asks for a job that does not exist.

    The server's version is unknown in most installations. What a submission accepts shows how old it is.

    Returns:
        The project and the version, in a few words.

    Raises:
        NotFoundError: The server does not know the project, or the token's user has no access to it.
    """
    if resource.project_code is None:
        resource.check_with_unknown_run(lambda one, run_id: one.get_job(run_id))
        project = "no project_code"
    else:
        _check_project(resource, resource.project_code)
        project = f"project {resource.project_code}"
    age = "5.134 or later" if resource.accepts_field("test-runs", "metadata") else "before 5.134"
    return f"{project}, version {_reported_version(resource) or age}"


def _check_project(resource: "TestGenResource", project_code: str) -> None:
    path = ["projects", project_code, "jobs"]
    try:
        resource.http().get(path, params={"page": 1, "limit": 1}).parse(models.JobPage)
    except NotFoundError as error:
        if error.code != "not_found":
            raise as_outage(error) from None
        raise NotFoundError(
            f"the project {project_code!r} does not exist, or the token's user has no access to it",
            vendor=resource.vendor,
            method=error.method,
            path=error.path,
            status=error.status,
            hint="Correct project_code, which is case-sensitive. It is in the URLs of TestGen's UI.",
        ) from None


def _reported_version(resource: "TestGenResource") -> str | None:
    response = resource.http().get(["health"])
    version = response.json.get("version") if isinstance(response.json, dict) else None
    return str(version) if version else None
