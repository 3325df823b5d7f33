"""What Dagster would refuse, and all that a tick tells with it: lost partitions, and requests that do not fit."""

from collections.abc import Callable
from typing import Any

import dagster as dg


def is_partition(partitions_def: dg.PartitionsDefinition[Any], key: str, instance: dg.DagsterInstance) -> bool:
    """Whether these partitions have the key, whatever shape it has."""

    def has() -> None:
        if not partitions_def.has_partition_key(key):
            raise LookupError(key)

    return _refused(lambda _: has(), instance) is None


def refusal(request: dg.RunRequest, context: dg.SensorEvaluationContext) -> str | None:
    """Why Dagster would refuse to launch what is requested, asked of the same definitions; ``None`` if it would not.

    A job may have lost an asset since, or have other partitions, or other config.
    """
    repository = context.repository_def
    if repository is None:
        return None

    def prepare(loading: Any) -> None:
        job = repository.get_job(request.job_name or "")
        if request.partition_key is not None:
            job.validate_partition_key(
                request.partition_key, selected_asset_keys=request.asset_selection, context=loading
            )
        selected = job.get_subset(asset_selection=frozenset(request.asset_selection or ()))
        dg.validate_run_config(selected, request.run_config)

    error = _refused(prepare, context.instance)
    return None if error is None else f"{type(error).__name__}: {error}"


def _refused(judge: Callable[[Any], None], instance: dg.DagsterInstance) -> Exception | None:
    """The error with which Dagster's definitions refuse something: of many kinds, so whatever ``judge`` raises.

    Raises:
        Exception: Dagster's storage failed. That tells nothing of what is judged, and the next tick asks again.
    """
    store = _DynamicPartitions(instance)
    with dg.partition_loading_context(dynamic_partitions_store=store) as loading:
        try:
            judge(loading)
        except Exception as error:
            if store.has_failed:
                raise
            return error
    return None


class _DynamicPartitions:
    """The instance's dynamic partitions, and whether its storage failed to tell them: each raises errors of its own."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self.has_failed = False

    def get_dynamic_partitions(self, partitions_def_name: str) -> Any:
        """All of them."""
        return self._ask("get_dynamic_partitions", partitions_def_name)

    def get_paginated_dynamic_partitions(
        self, partitions_def_name: str, limit: int, ascending: bool, cursor: str | None = None
    ) -> Any:
        """Some of them."""
        return self._ask("get_paginated_dynamic_partitions", partitions_def_name, limit, ascending, cursor)

    def get_existing_dynamic_partitions(self, partitions_def_name: str, partition_keys: Any) -> Any:
        """Those that there are."""
        return self._ask("get_existing_dynamic_partitions", partitions_def_name, partition_keys)

    def has_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> Any:
        """Whether there is one."""
        return self._ask("has_dynamic_partition", partitions_def_name, partition_key)

    def get_dynamic_partitions_definition_id(self, partitions_def_name: str) -> Any:
        """What changes with them."""
        return self._ask("get_dynamic_partitions_definition_id", partitions_def_name)

    def _ask(self, name: str, *args: Any) -> Any:
        try:
            return getattr(self._instance, name)(*args)
        except Exception:
            self.has_failed = True
            raise
