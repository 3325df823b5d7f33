"""Run requests that Dagster would refuse: with one of them it refuses all of the tick, or those that come after it."""

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError


def refusal(request: dg.RunRequest, context: dg.SensorEvaluationContext) -> str | None:
    """Why Dagster would refuse to launch what is requested, asked of the same definitions; ``None`` if it would not.

    A job may have lost an asset since, or have other partitions, or other config.
    """
    if context.repository_def is None:
        return None
    try:
        job = context.repository_def.get_job(request.job_name or "")
        if request.partition_key is not None:
            with dg.partition_loading_context(dynamic_partitions_store=context.instance) as loading:
                job.validate_partition_key(
                    request.partition_key, selected_asset_keys=request.asset_selection, context=loading
                )
        selected = job.get_subset(asset_selection=frozenset(request.asset_selection or ()))
        dg.validate_run_config(selected, request.run_config)
    except SQLAlchemyError:
        raise  # Dagster's storage fails: that tells nothing of the request, and the next tick asks again
    except Exception as error:  # of many kinds, each of which Dagster would meet as well
        return f"{type(error).__name__}: {error}"
    return None
