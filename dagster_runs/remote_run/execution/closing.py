"""What a step says last: how its run ended, and why checks hold back what is downstream."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg

from dagster_runs.remote_run.execution.dagster_step import Step

if TYPE_CHECKING:
    from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle

_ERROR = dg.AssetCheckSeverity.ERROR


class CompletionSensor(NamedTuple):
    """The completion sensor of a deferred asset.

    Attributes:
        name: Its name; ``None`` if the code location has none for the asset.
        problem: Why it would report nothing; ``None`` if it would.
    """

    name: str | None
    problem: str | None


def log_deferred(execution: "RemoteRunExecution", handle: "RunHandle") -> None:
    """Logs that a step has only started its run, or attached to it, and what reports how the run ends."""
    done = "attached to" if handle.attached else "started"
    run = f"{execution.describe_run(handle.run_id)} is active. This step only {done} it"
    find = execution.completion_sensor
    sensor = execution.storage.attempt(find) if find is not None else None
    link = f"; {url}" if (url := execution.url(handle.run_id)) else ""
    if sensor is not None and sensor.problem is not None:
        execution.step.log.warning("%s, and nothing will report how it ends: %s%s", run, sensor.problem, link)
        return
    name = f"the sensor {sensor.name}" if sensor is not None and sensor.name else "the completion sensor"
    execution.step.log.info("%s; %s will report how it ends%s", run, name, link)


def fail_if_blocked(events: Iterable[Any], step: Step, summary: str, *, url: str | None) -> Iterator[Any]:
    """Yields events, and fails the step if one of them is the failure of a blocking check.

    Dagster would fail the step too, also without a retry, but its message, which alerts carry, only names the checks.

    Args:
        events: The events of a run that succeeded.
        step: The step.
        summary: How the run ended.
        url: The URL of its page.

    Raises:
        dagster.Failure: A blocking check failed with severity ERROR.
    """
    failed: dict[dg.AssetKey, dict[str, None]] = {}
    for event in events:
        for check in _failed_blocking_checks(event, step):
            failed.setdefault(check.asset_key, {})[check.name] = None
        yield event
    if failed:
        names = "; ".join(f"{key.to_user_string()}: {', '.join(checks)}" for key, checks in failed.items())
        raise dg.Failure(
            description=f"Failed blocking checks: {names}. {summary}",
            metadata={"dagster_runs/url": dg.MetadataValue.url(url)} if url else None,
            allow_retries=False,
        )


def _failed_blocking_checks(event: Any, step: Step) -> list[dg.AssetCheckKey]:
    if isinstance(event, dg.AssetCheckEvaluation):
        is_failed = event.blocking and not event.passed and event.severity == _ERROR
        return [event.asset_check_key] if is_failed else []
    blocking = {spec.key for spec in step.check_specs if spec.blocking}
    found = [event] if isinstance(event, dg.AssetCheckResult) else getattr(event, "check_results", None) or ()
    failed = [one for one in found if not one.passed and one.severity == _ERROR]
    keys = [dg.AssetCheckKey(one.asset_key, one.check_name) for one in failed if one.asset_key and one.check_name]
    return [key for key in keys if key in blocking]
