"""A job that cancels deferred runs."""

from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from dagster_runs.sensors.completion.cancellation import Cancellation, in_flight
from dagster_runs.sensors.registry import check_defined, resolve_assets
from dagster_runs.sensors.vendor_resources import code_location_of, initialized


class CancelRemoteRuns(dg.Config):
    """Which deferred runs to cancel."""

    asset: str = Field(description="The asset, as the UI writes its key: testgen/orders_quality.")
    partition: str | None = Field(default=None, description="Only the run of this partition.")
    run_id: str | None = Field(default=None, description="Only the run with this id of the vendor's.")


def build_cancel_job(
    assets: Sequence[dg.AssetsDefinition], *, name: str = "cancel_remote_runs", description: str | None = None
) -> dg.JobDefinition:
    """A job that cancels deferred runs of an asset: they have no step that a person could terminate.

    Launch it from the launchpad with the asset's key, and a partition or the vendor's run id where not all of the
    asset's runs are meant. The completion sensor neither reports nor retries what ends cancelled then; a run that ends
    otherwise after all is reported as ever, and not retried.

    With assets of several vendors, only the resource of the asset whose runs are canceled is initialized. Such a job
    takes its resources from the code location; a test that executes it in process passes them as ``resources``.

    Args:
        assets: Assets from `build_remote_run_asset` with ``wait="defer"``.
        name: The job's name.
        description: Instead of the usual one.

    Raises:
        DagsterInvalidDefinitionError: An asset is not deferred, or comes twice.
    """
    by_key = {key.to_user_string(): asset for asset in resolve_assets(assets, deferred=True) for key in asset.keys}

    # Dagster resolves the config of all resources that a job requires before it begins: with several vendors, one
    # unset variable would keep the runs of all others from being canceled. So the op then initializes what it needs.
    resource_keys = {asset.remote.resource_key for asset in by_key.values()}

    @dg.op(name=f"{name}_op", required_resource_keys=resource_keys if len(resource_keys) == 1 else None)
    def cancel(context: dg.OpExecutionContext, config: CancelRemoteRuns) -> None:
        asset = by_key.get(config.asset)
        if asset is None:
            raise dg.Failure(
                f"There is no deferred asset {config.asset!r}; there are {', '.join(by_key)}", allow_retries=False
            )
        check_defined([asset], code_location_of(context))
        active = in_flight(asset, context.instance)
        wanted = [
            deferred_run
            for deferred_run in active
            if config.partition in (None, *deferred_run.partitions) and config.run_id in (None, deferred_run.run_id)
        ]
        if not wanted:
            ids = ", ".join(deferred_run.run_id for deferred_run in active) or "none"
            raise dg.Failure(f"No such run of {config.asset} is in flight. In flight: {ids}", allow_retries=False)
        failures: list[str] = []
        with initialized([asset], context) as vendors:
            if vendors.problems:
                raise dg.Failure(". ".join(vendors.problems.values()), allow_retries=False)
            # All are asked first: until a vendor confirms takes up to a minute, and the last of a thousand is not to go
            # on meanwhile.
            cancellations = [Cancellation(context, deferred_run, vendors) for deferred_run in wanted]
            for cancellation in cancellations:
                cancellation.ask()
            for cancellation in cancellations:
                try:
                    context.log.info(cancellation.confirm())
                except dg.Failure as failure:
                    failures.append(str(failure.description))
        if failures:
            raise dg.Failure("\n".join(failures), allow_retries=False)

    @dg.job(name=name, description=description or "Cancels deferred runs at their vendor.")
    def canceling() -> None:
        cancel()

    return canceling
