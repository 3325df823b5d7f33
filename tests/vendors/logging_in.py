"""Helpers for the OAuth tests of two vendors: token endpoint faults, and places where secrets could appear."""

import dagster as dg

from dagster_runs.sandbox import Fault


def transient_faults(path: str) -> list[Fault]:
    """Faults of the token endpoint that end at the third request."""
    return [
        Fault("status", status=503, times=2, path=path),
        Fault("reset", times=2, path=path),
        Fault("status", status=429, times=2, path=path),
    ]


def lasting_faults(path: str) -> list[Fault]:
    """Faults that last, so that no token is returned."""
    return [
        Fault("status", status=503, path=path),
        Fault("reset", path=path),
        Fault("lost_response", path=path),
        Fault("html", path=path),
        Fault("missing_field", field="access_token", path=path),
    ]


def leaking_faults(path: str, **message: str) -> list[Fault]:
    """Errors that repeat the secrets, or that are caused by a response with one."""
    return [
        Fault("echo_secret"),
        Fault("echo_secret", path=path),
        Fault("truncated", path=path),
        Fault("wrong_type", field="expires_in", value="soon", path=path),
        Fault("status", status=400, body=message),
    ]


def name(fault: Fault) -> str:
    return " ".join(str(part) for part in (fault.kind, fault.status, fault.field, fault.path) if part)


def text_of(error: Exception) -> str:
    return f"{error} {error!r} {vars(error)}"


def stored_by_dagster(instance: dg.DagsterInstance, run_id: str) -> str:
    """Returns the events, the run and the snapshot of the job as text."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    events = [repr(entry) for entry in instance.all_logs(run_id)]
    assert events
    snapshot = dg.serialize_value(instance.get_job_snapshot(str(run.job_snapshot_id)))
    return "\n".join((*events, snapshot, repr(run)))
