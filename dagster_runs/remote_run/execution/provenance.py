"""The versions that a materialization is based on, as Dagster tags. Without them, Dagster cannot find stale assets.

Dagster records the versions of an asset's inputs when a step begins. That is too late for a step that attaches to a run
which an earlier attempt started, and a materialization that a sensor reports has no step at all. So the versions are
read before the start, kept in the ledger, and put on the materialization, no matter how it is reported.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

DATA_VERSION_TAG = "dagster/data_version"
_USER_PROVIDED_TAG = "dagster/data_version_is_user_provided"
_CODE_VERSION_TAG = "dagster/code_version"
_INPUT_VERSION_TAG = "dagster/input_data_version"
_INPUT_EVENT_TAG = "dagster/input_event_pointer"
_NO_EVENT = "NULL"
_FIRST_VERSION = "INITIAL"
"""Dagster's data version of an input that has none."""


@dataclass(frozen=True)
class InputVersion:
    """The version of one input.

    Attributes:
        data_version: The input's data version.
        storage_id: The id of the event that has the version; ``None`` for an input without events.
    """

    data_version: str
    storage_id: int | None


@dataclass(frozen=True)
class Provenance:
    """The versions that the materialization of one asset is based on.

    Attributes:
        code_version: The asset's code version, or the id of the Dagster run that started the remote run.
        inputs: The versions of the asset's dependencies, by key in the UI's spelling.
    """

    code_version: str
    inputs: Mapping[str, InputVersion]

    def tags(self) -> dict[str, str]:
        """Returns the tags for a materialization."""
        tags = {_CODE_VERSION_TAG: self.code_version}
        for key, version in self.inputs.items():
            tags[f"{_INPUT_VERSION_TAG}/{key}"] = version.data_version
            tags[f"{_INPUT_EVENT_TAG}/{key}"] = _NO_EVENT if version.storage_id is None else str(version.storage_id)
        return tags

    def as_json(self) -> dict[str, Any]:
        """Returns the provenance as JSON for the ledger."""
        inputs = {key: [version.data_version, version.storage_id] for key, version in self.inputs.items()}
        return {"code_version": self.code_version, "inputs": inputs}

    @classmethod
    def from_json(cls, kept: Any) -> "Provenance | None":
        """Recreates a provenance from the result of `as_json`; ``None`` for any other value."""
        try:
            inputs = {
                str(key): InputVersion(str(version), None if storage_id is None else int(storage_id))
                for key, (version, storage_id) in kept["inputs"].items()
            }
            return cls(str(kept["code_version"]), inputs)
        except (TypeError, ValueError, KeyError, AttributeError):
            return None


def read_provenance(kept: Mapping[str, Any] | None) -> dict[str, Provenance]:
    """Returns the provenance in a ledger entry by asset; empty for entries of earlier versions."""
    read = {str(key): Provenance.from_json(one) for key, one in (kept or {}).items()}
    return {key: one for key, one in read.items() if one is not None}


def current_provenance(
    instance: dg.DagsterInstance,
    definition: dg.AssetsDefinition,
    keys: Iterable[dg.AssetKey],
    *,
    default_code_version: str,
    before: float | None = None,
) -> dict[str, Provenance]:
    """Returns the versions that the assets would be based on now, by key in the UI's spelling.

    Args:
        instance: The Dagster instance.
        definition: The assets' definition.
        keys: The assets that the run materializes. Dependencies among them are left out, because they get their
            versions from the same run.
        default_code_version: The code version for an asset that has none. Dagster itself uses the run's id.
        before: Epoch seconds by the machine's clock, to get the provenance at that time instead.
    """
    filled = set(keys)
    specs = [definition.get_asset_spec(key) for key in filled]
    needed = {dep.asset_key for spec in specs for dep in spec.deps} - filled
    versions = _latest(instance, needed) if before is None else {key: _before(instance, key, before) for key in needed}
    return {
        spec.key.to_user_string(): Provenance(
            spec.code_version or default_code_version,
            {dep.asset_key.to_user_string(): versions[dep.asset_key] for dep in spec.deps if dep.asset_key in needed},
        )
        for spec in specs
    }


def version_tags(
    run_id: str, key: dg.AssetKey, provenance: Mapping[str, Provenance], definition: dg.AssetsDefinition
) -> dict[str, str]:
    """Returns all version tags of a materialization that is reported without a step.

    Args:
        run_id: The vendor's id of the run, which is the data version.
        key: The asset.
        provenance: The known provenance of each asset that the run materializes.
        definition: The asset's definition.
    """
    tags = {DATA_VERSION_TAG: run_id, _USER_PROVIDED_TAG: "true"}
    known = provenance.get(key.to_user_string())
    if known is None:
        return tags
    siblings = {dep.asset_key.to_user_string() for dep in definition.get_asset_spec(key).deps} & set(provenance)
    inputs = {**known.inputs, **{sibling: InputVersion(run_id, None) for sibling in siblings}}
    return {**tags, **Provenance(known.code_version, inputs).tags()}


def predates_two_phases(record: dg.EventLogRecord) -> bool:
    """Whether a materialization was reported by a sensor of an earlier version.

    If so, its evaluations were stored before it and do not name it. Such a version wrote no data version.

    Args:
        record: The materialization.
    """
    materialization = record.asset_materialization
    return materialization is not None and not record.run_id and DATA_VERSION_TAG not in (materialization.tags or {})


def _latest(instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]) -> dict[dg.AssetKey, InputVersion]:
    versions = dict.fromkeys(keys, InputVersion(_FIRST_VERSION, None))
    for record in instance.get_asset_records(list(versions)) if versions else ():
        entry = record.asset_entry
        event = entry.last_materialization_record or entry.last_observation_record
        if event is not None:
            versions[entry.asset_key] = _version_in(event)
    return versions


def _before(instance: dg.DagsterInstance, key: dg.AssetKey, at: float) -> InputVersion:
    wanted = dg.AssetRecordsFilter(key, before_timestamp=at)
    for fetch in (instance.fetch_materializations, instance.fetch_observations):
        records = fetch(wanted, limit=1).records
        if records:
            return _version_in(records[0])
    return InputVersion(_FIRST_VERSION, None)


def _version_in(event: dg.EventLogRecord) -> InputVersion:
    return InputVersion((event.event_log_entry.tags or {}).get(DATA_VERSION_TAG, _FIRST_VERSION), event.storage_id)
