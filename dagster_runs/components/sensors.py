"""The sensors and the cancel job of a component."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dagster as dg
from pydantic import create_model

from dagster_runs.components.plain_values import number, whole_number
from dagster_runs.components.yaml_model import Fields, Number, Switch, WholeNumber, field_of
from dagster_runs.jobs import build_cancel_job
from dagster_runs.sensors.builders import build_completion_sensor, build_observation_sensor
from dagster_runs.sensors.observation.observed_asset import ObservedAsset
from dagster_runs.table_checks.builder import TableChecks

_fields: Fields = {
    "name": field_of(str, description="The sensor's name. By default, it begins with the resource's key."),
    "default_status": field_of(
        Literal["RUNNING", "STOPPED"],
        description="Whether the sensor is on by default. `STOPPED` unless this is set: turn it on in the UI.",
        example="RUNNING",
    ),
    "minimum_interval_seconds": field_of(
        WholeNumber, description="The minimum number of seconds between two ticks.", example=10
    ),
    "tick_seconds": field_of(
        Number, description="The maximum number of seconds that a tick takes, from 5 to 50.", example=24
    ),
}


class _SensorSwitch(Switch):
    @classmethod
    def check(cls, given: dict[str, Any]) -> None:
        """Converts the numbers."""
        sensor_arguments(given)


SensorOptions: type[Switch] = create_model("Sensor", __base__=_SensorSwitch, **_fields)  # type: ignore[call-overload]


def sensor_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a sensor's builder that YAML sets.

    Raises:
        ValueError: A value is invalid.
    """
    found: dict[str, Any] = {name: given[name] for name in ("name",) if name in given}
    if "default_status" in given:
        found["default_status"] = dg.DefaultSensorStatus[given["default_status"]]
    if "minimum_interval_seconds" in given:
        name = "minimum_interval_seconds"
        found[name] = whole_number(name, given[name])
    if "tick_seconds" in given:
        found["tick_seconds"] = number("tick_seconds", given["tick_seconds"])
    return found


def is_on(given: Mapping[str, Any] | None, *, default: bool) -> bool:
    """Whether YAML asks for a sensor.

    Args:
        given: The field; ``None`` if YAML does not have it.
        default: Whether there is a sensor without the field.
    """
    return default if given is None else bool(given.get("enabled", True))


@dataclass(frozen=True)
class Sensors:
    """What a component adds to its assets.

    Attributes:
        resource_key: The resource's key, which the names begin with.
        completion: The field ``completion_sensor``; ``None`` if YAML does not have it.
        observation: The field ``observation_sensor``; ``None`` if YAML does not have it.
    """

    resource_key: str
    completion: Mapping[str, Any] | None
    observation: Mapping[str, Any] | None

    def of_deferred(self, deferred: Sequence[dg.AssetsDefinition | TableChecks]) -> dg.Definitions:
        """Returns the completion sensor and the cancel job of deferred assets and checks."""
        if not deferred:
            return dg.Definitions()
        sensors = []
        if is_on(self.completion, default=True):
            options = {"name": f"{self.resource_key}_completion", **sensor_arguments(self.completion or {})}
            sensors.append(build_completion_sensor(deferred, **options))
        return dg.Definitions(
            sensors=sensors, jobs=[build_cancel_job(deferred, name=f"cancel_{self.resource_key}_runs")]
        )

    def of_observed(
        self, assets: Sequence[dg.AssetsDefinition | ObservedAsset | TableChecks], *, default: bool
    ) -> dg.Definitions:
        """Returns the observation sensor of assets and checks.

        Args:
            assets: The assets and checks whose runs the vendor lists.
            default: Whether there is a sensor if YAML does not have the field.
        """
        if not assets or not is_on(self.observation, default=default):
            return dg.Definitions()
        options = {"name": f"{self.resource_key}_observation", **sensor_arguments(self.observation or {})}
        return dg.Definitions(sensors=[build_observation_sensor(assets, **options)])
