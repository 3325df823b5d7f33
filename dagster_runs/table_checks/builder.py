"""Builds the definitions of a suite's checks: one op for all of them, and the asset that shows the suite's runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dagster_runs.launchpad import config_schema, overrides, present_values
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.data_tests import SuiteTest
from dagster_runs.remote_run.execution.events import check_specs
from dagster_runs.remote_run.execution.execute import execute_remote_run
from dagster_runs.remote_run.execution.execution import RemoteRunExecution
from dagster_runs.remote_run.execution.partitions import fill_from_partition
from dagster_runs.remote_run.execution.user_asset import AssetKeyLike, coerced_key
from dagster_runs.remote_run.options import RunOptions
from dagster_runs.sensors.registry import (
    RemoteAsset,
    WatchedAsset,
    check_unique_checks,
    completion_sensor_of,
    register_suite,
)
from dagster_runs.table_checks.blocking import location_problem, refuse_in_step, upstream_problem
from dagster_runs.table_checks.code_location import specs_in
from dagster_runs.table_checks.declared import Wanted, declare
from dagster_runs.table_checks.suite_step import SuiteReporter, SuiteStep
from dagster_runs.table_checks.table_keys import KeysLike, TableKeys
from dagster_runs.table_checks.table_report import JudgedChecks, ReportOnTables
from dagster_runs.table_checks.watched import WatchedSuite


@dataclass(frozen=True)
class TableChecks:
    """The checks of a suite on your own tables.

    Attributes:
        checks: The definition of the checks: one op, which can execute any of them with one run of the suite.
        suite: The asset that shows the runs of the suite. It cannot be materialized in Dagster.
        remote: How the suite is run.
        judged: The declared checks of the tables, and how they are judged.
        gate_specs: The checks of the suite's own asset, if there is a gate.
    """

    checks: dg.AssetChecksDefinition
    suite: dg.AssetSpec
    remote: RemoteAsset
    judged: JudgedChecks
    gate_specs: tuple[dg.AssetCheckSpec, ...] = ()

    def definitions(self) -> dg.Definitions:
        """Returns the definitions to merge with your own: the checks, and the asset that shows the suite's runs."""
        return dg.Definitions(assets=[self.suite], asset_checks=[self.checks])

    def merged_with(self, own: dg.Definitions) -> dg.Definitions:
        """Returns the definitions of a code location, merged with these, and checks first what blocks.

        So blocking checks are refused when the code location loads, for example by `dg check defs`. Otherwise, only the
        first step sees all assets of the code location, and refuses them.

        Args:
            own: The definitions of your code location, with the assets of the tables.

        Raises:
            DagsterInvalidDefinitionError: Blocking checks are on an asset that is not in ``own``, or on a table that is
                upstream of another one, or ``own`` has checks of the same name on the same asset.
        """
        others = [
            one for one in (*(own.assets or ()), *(own.asset_checks or ())) if isinstance(one, dg.AssetsDefinition)
        ]
        check_unique_checks([*others, self.checks])
        specs = specs_in(own)
        keys, assets = self.judged.declared.keys.with_lineage_of(specs), self.judged.declared.by_asset
        blocking = {spec.asset_key for spec in self.judged.declared.specs if spec.blocking}
        upstream = {asset: keys.upstream_of(asset) for asset in assets}
        undefined = blocking - {spec.key for spec in specs}
        problem = location_problem(undefined) or upstream_problem(blocking, assets, upstream)
        if problem is not None:
            raise dg.DagsterInvalidDefinitionError(problem)
        return dg.Definitions.merge(own, self.definitions())

    def as_watched(self) -> WatchedAsset:
        """Returns the suite in the form that the sensors use."""
        suite = WatchedSuite(self.checks, self.suite.key, self.judged)
        shown = dg.AssetsDefinition(specs=[self.suite])
        return WatchedAsset(shown, self.remote, self.gate_specs, checks=self.checks, suite=suite)

    @property
    def messages(self) -> Sequence[str]:
        """What you should know about how the checks are declared, such as a fallback to one check for each table."""
        return self.judged.declared.messages


@dataclass(frozen=True)
class SuiteSettings:
    """How the op and the asset of a suite are defined.

    Attributes:
        name: The name of the op.
        spec: The asset that shows the suite's runs. The tables' assets are added to its dependencies.
        resource_key: The resource's key.
        retry_policy: The retry policy of the op.
        pool: The pool of the op.
        op_tags: The tags of the op.
    """

    name: str
    spec: dg.AssetSpec
    resource_key: str
    retry_policy: dg.RetryPolicy | None
    pool: str | None
    op_tags: Mapping[str, Any] | None


def shown_by(
    key: AssetKeyLike | None, name: str, group_name: str | None, *, prefix: str, spec: dg.AssetSpec | None = None
) -> dg.AssetSpec:
    """Returns the asset that shows the runs of a suite.

    Args:
        key: Its key; ``None`` for the prefix and the name of the op.
        name: The name of the op.
        group_name: Its group.
        prefix: The first part of its default key.
        spec: The asset, if the user describes it.

    Raises:
        DagsterInvalidDefinitionError: The spec is not the only description.
    """
    if spec is not None and (key is not None or group_name is not None):
        raise dg.DagsterInvalidDefinitionError("spec already has the key and the group_name, so pass only one of them")
    if spec is not None:
        return spec
    return dg.AssetSpec(coerced_key("key", key) if key is not None else [prefix, name], group_name=group_name)


def build_suite_checks(
    own_run: RemoteRun[Any],
    run_class: type[RemoteRun[Any]],
    *,
    tables: KeysLike,
    known_tests: Sequence[SuiteTest] | None,
    severity: Mapping[str, dg.AssetCheckSeverity],
    report: type[ReportOnTables[Any]],
    wanted: Wanted,
    options: RunOptions,
    settings: SuiteSettings,
) -> TableChecks:
    """Builds the checks of a suite, for any vendor.

    The run must report the results of its tests (`RunResult.tests`) or the profiles of tables (`RunResult.tables`).

    Args:
        own_run: The user's run of the suite.
        run_class: The kind of run that has the same fields and also reports these results.
        tables: Finds the asset of each table.
        known_tests: What the suite is known to test.
        severity: The severity of each kind of result that does not pass.
        report: The class of the reports, which judge the checks.
        wanted: Which checks are declared.
        options: The options for the run. With a gate, the asset of the suite has checks of its own.
        settings: How the op and the asset are defined.

    Raises:
        DagsterInvalidDefinitionError: The arguments are invalid or do not fit together.
    """
    run = run_class.model_validate({name: getattr(own_run, name) for name in own_run.model_fields_set})
    options.check_for(run_class)
    if wanted.unmapped == "fail" and "defer" in (options.wait, options.backfill_wait):
        raise dg.DagsterInvalidDefinitionError(
            "unmapped='fail' fails the step after its report, but with 'defer' no step waits for the run. Use "
            "unmapped='warn', or wait='poll' and backfill_wait='poll'"
        )
    keys = TableKeys.coerce(tables)
    judged = JudgedChecks(report, declare(keys, known_tests, wanted), severity, wanted.unmapped, wanted.prefix)
    specs = judged.declared.specs
    assets = list(judged.declared.by_asset)
    blocking = {spec.asset_key for spec in specs if spec.blocking}
    problem = upstream_problem(blocking, assets, {key: keys.upstream_of(key) for key in assets})
    if problem is not None:
        raise dg.DagsterInvalidDefinitionError(problem)
    remote = RemoteAsset(run_class, options, settings.resource_key, run)
    given = settings.spec
    spec = given.replace_attributes(
        deps=[*given.deps, *(asset for asset in assets if asset not in {dep.asset_key for dep in given.deps})],
        kinds={*given.kinds, *run_class.asset_kinds},
        description=given.description
        or f"Shows the runs of the {wanted.suite} at {run_class.vendor}, whose results are the checks of its tables. "
        "Execute these checks to start a run.",
        metadata={"dagster_runs/vendor": run_class.vendor, "dagster_runs/target": run.target, **given.metadata},
    )
    suite = dg.AssetsDefinition(specs=[spec])
    gate_specs = () if options.gate is None else tuple(check_specs(run, spec.key, options.gate))

    present = present_values(run)

    @dg.multi_asset_check(
        name=settings.name,
        specs=[*specs, *gate_specs],
        description=f"Runs the {wanted.suite} at {run_class.vendor} once, whichever checks are selected.",
        required_resource_keys={settings.resource_key},
        config_schema=config_schema(run_class, present),
        retry_policy=settings.retry_policy,
        pool=settings.pool,
        op_tags=settings.op_tags,
        # A check without a result is not evaluated, and a deferred step evaluates none.
        can_subset=True,
    )
    def run_suite(context: dg.AssetCheckExecutionContext) -> Iterator[Any]:
        refuse_in_step(context, run_suite, spec.key)
        step = SuiteStep.create(context, suite, gate_specs)
        here = options.in_backfill() if step.is_in_backfill and step.finishes is None else options
        if here.wait == "defer" and any(run_suite.get_spec_for_check_key(key).blocking for key in step.check_keys):
            step.log.warning(
                "The run of the suite continues after this step, so its blocking checks hold back nothing in this "
                "Dagster run. They hold back assets with an automation condition such as "
                "AutomationCondition.all_deps_blocking_checks_passed()"
            )
        config = overrides(context.op_execution_context.op_config or {}, present)
        filled = fill_from_partition(run.with_overrides(config, by="The launch config"), step)
        resource = remote.resource_in(context.op_execution_context.resources)
        reporter = SuiteReporter(step, judged, run_suite)
        yield from execute_remote_run(
            RemoteRunExecution(
                step,
                resource,
                filled,
                here,
                is_fixed=True,
                completion_sensor=lambda: completion_sensor_of(run_suite, step.instance),
                is_whole_step=True,
                is_outdated=reporter.is_outdated,
                report=reporter.report,
            )
        )

    register_suite(run_suite, remote)
    return TableChecks(run_suite, spec, remote, judged, gate_specs)
