"""A minimal vendor for tests of what an author may get wrong: a resource without a server, and a run."""

from typing import Any

from dagster_runs.vendor_sdk import Auth, HeaderAuth, RemoteRun, RemoteRunResource, RunState, RunStatus, StartAttempt

ATTEMPT = StartAttempt("correlation-id", 1_790_000_000.0, "dagster-run")


class AcmeResource(RemoteRunResource):
    """A connection to a server that does not exist; the runs below make no calls."""

    vendor = "Acme"

    def api_url(self) -> str:
        return "http://127.0.0.1:9"

    def auth(self) -> Auth:
        return HeaderAuth({}, secrets=())


class Job(RemoteRun[AcmeResource]):
    """A run that succeeds at once."""

    vendor, label, resource_key = "Acme", "job", "acme"

    job_id: int = 7

    @property
    def target(self) -> str:
        return str(self.job_id)

    def start(self, resource: AcmeResource, attempt: StartAttempt) -> str:
        return "r1"

    def fetch_status(self, resource: AcmeResource, run_id: str) -> RunStatus:
        return RunStatus(RunState.SUCCEEDED, "done")


def define(**attributes: Any) -> type[Job]:
    """Defines a kind of run with these attributes, as a `class` statement does."""
    return define_from((Job,), **attributes)


def define_from(bases: tuple[type, ...], **attributes: Any) -> type[Job]:
    """Defines a kind of run with these bases and attributes."""
    defined: type[Job] = type(Job)("MyJob", bases, {"__module__": __name__, "__qualname__": "MyJob", **attributes})
    return defined
