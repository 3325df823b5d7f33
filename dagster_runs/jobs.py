"""A job that cancels deferred runs."""

from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from dagster_runs.remote_run.wrong_calls import explain_wrong_call
from dagster_runs.sensors.completion.cancellation import Cancellation, active_runs, cancel_request
from dagster_runs.sensors.registry import Watchable, check_defined, resolve_assets
from dagster_runs.sensors.vendor_resources import code_location_of, initialized


class CancelRemoteRuns(dg.Config):
    """The deferred runs to cancel."""

    asset: str = Field(description="The key of the asset, as shown in the UI: testgen/orders_quality.")
    partition: str | None = Field(default=None, description="Cancel only the run of this partition.")
    run_id: str | None = Field(
        default=None, description="Cancel only the run with this id at the vendor, or the queued request with this id."
    )


@explain_wrong_call
def build_cancel_job(
    assets: Sequence[dg.AssetsDefinition | Watchable],
    *,
    name: str = "cancel_remote_runs",
    description: str | None = None,
) -> dg.JobDefinition:
    """Builds a job that cancels deferred runs and queued requests of an asset, which have no step to terminate.

    Launch the job from the launchpad with the asset's key. To cancel only some of the asset's runs, also set the
    partition or the vendor's run id. The completion sensor neither reports nor retries runs that end canceled after
    this. A run that still ends otherwise is reported as usual, but not retried.

    With assets of several vendors, the job initializes only the resource of the asset whose runs it cancels. Such a job
    takes its resources from the code location; a test that executes it in process passes them as ``resources``.

    Args:
        assets: Assets from `build_remote_run_asset`, and checks from `build_testgen_checks` or
            `build_testgen_profile`, with ``wait="defer"``.
        name: The name of the job.
        description: Overrides the default description.

    Raises:
        DagsterInvalidDefinitionError: An asset is not deferred, or is passed twice.
    """
    by_key = {key.to_user_string(): asset for asset in resolve_assets(assets, deferred=True) for key in asset.keys}

    # Dagster resolves the config of all resources that a job requires before the job starts. With several vendors, one
    # unset variable would prevent the cancellation of all runs. So the op initializes only the resource that it needs.
    resource_keys = {asset.remote.resource_key for asset in by_key.values()}

    @dg.op(name=f"{name}_op", required_resource_keys=resource_keys if len(resource_keys) == 1 else None)
    def cancel(context: dg.OpExecutionContext, config: CancelRemoteRuns) -> None:
        asset = by_key.get(config.asset)
        if asset is None:
            raise dg.Failure(
                f"There is no deferred asset {config.asset!r}; the deferred assets are {', '.join(by_key)}",
                allow_retries=False,
            )
        check_defined([asset], code_location_of(context))
        active, queued = active_runs(asset, context.instance)
        wanted = [
            deferred_run
            for deferred_run in active
            if config.partition in (None, *deferred_run.partitions) and config.run_id in (None, deferred_run.run_id)
        ]
        unwanted = [
            request
            for request in queued
            if config.partition in (None, *request.partitions) and config.run_id in (None, request.request_id)
        ]
        if not wanted and not unwanted:
            ids = ", ".join(deferred_run.run_id for deferred_run in active) or "none"
            waiting = f". Queued requests: {', '.join(one.request_id for one in queued)}" if queued else ""
            message = f"No matching run of {config.asset} is active. Active runs: {ids}{waiting}"
            raise dg.Failure(message, allow_retries=False)
        # Before the active runs, so that none of the requests starts when these have ended.
        for request in unwanted:
            context.log.info(cancel_request(context, request))
        if not wanted:
            return
        failures: list[str] = []
        with initialized([asset], context) as vendors:
            if vendors.problems:
                raise dg.Failure(". ".join(vendors.problems.values()), allow_retries=False)
            # All cancellations are requested first, because a vendor may take up to a minute to confirm one, and the
            # last of a thousand runs should not have to wait for the others.
            cancellations = [Cancellation(context, deferred_run, vendors) for deferred_run in wanted]
            for cancellation in cancellations:
                cancellation.request()
            for cancellation in cancellations:
                try:
                    context.log.info(cancellation.wait_for_confirmation())
                except dg.Failure as failure:
                    failures.append(str(failure.description))
        if failures:
            raise dg.Failure("\n".join(failures), allow_retries=False)

    @dg.job(name=name, description=description or "Cancels deferred runs at their vendor.")
    def canceling() -> None:
        cancel()

    return canceling
