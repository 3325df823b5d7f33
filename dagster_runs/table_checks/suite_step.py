"""The step of a suite's checks: one run of the suite for all selected checks, with the same engine as for assets.

The ledger is kept on the asset of the suite, which only shows the suite's runs. It cannot be materialized in Dagster.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import dagster as dg

from dagster_runs.remote_run.execution.dagster_step import FINISHES_TAG, Step
from dagster_runs.remote_run.execution.evaluations import (
    AssetPartition,
    checks_digest,
    evaluations,
    identifying_metadata,
    materializations_of,
)
from dagster_runs.remote_run.execution.event_log import events
from dagster_runs.remote_run.execution.execution import RemoteRunExecution, RunHandle
from dagster_runs.remote_run.execution.later_runs import later_evaluated
from dagster_runs.remote_run.execution.ledger_entry import LedgerEntry
from dagster_runs.remote_run.execution.provenance import read_provenance, version_tags
from dagster_runs.remote_run.metadata_order import in_page_order
from dagster_runs.remote_run.metadata_size import limited
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import CheckOutcome, RunResult
from dagster_runs.table_checks.code_location import has_several_steps
from dagster_runs.table_checks.freshness import StartedHere, start_of
from dagster_runs.table_checks.table_report import JudgedChecks, ReportOnTables, newest_of


@dataclass(frozen=True)
class SuiteStep(Step):
    """The step of a suite's checks.

    If a table and its child are both checked and block, Dagster executes the op in two steps of one Dagster run, each
    with some of the checks, and the second run of the suite must see what is materialized in between. So the ledgers of
    the two steps have different names. A name follows from the step's checks, since the keys of the two steps may be
    the other way around in the next process (measured on 1.13.27).

    Attributes:
        suite: The definition of the suite's asset.
        gate_specs: The checks on the suite's asset, which judge the run.
    """

    suite: dg.AssetsDefinition = field(default_factory=lambda: dg.AssetsDefinition(specs=[]))
    gate_specs: tuple[dg.AssetCheckSpec, ...] = ()

    @classmethod
    def create(
        cls,
        context: dg.AssetCheckExecutionContext,
        suite: dg.AssetsDefinition,
        gate_specs: tuple[dg.AssetCheckSpec, ...] = (),
    ) -> "SuiteStep":
        """Returns the step that is being executed."""
        # The engine uses only what both kinds of contexts have, apart from what is overridden here.
        of_asset = cast("dg.AssetExecutionContext", context)
        name = checks_digest(context.selected_asset_check_keys) if has_several_steps(context) else ""
        step = cls(of_asset, suite=suite, gate_specs=gate_specs)
        run_id = context.run.tags.get(FINISHES_TAG)
        if run_id is not None and context.run.parent_run_id is None:
            name = step.name_of(run_id, default=name)
        return cls(of_asset, name=name, suite=suite, gate_specs=gate_specs)

    def name_of(self, run_id: str, *, default: str) -> str:
        """Returns the name in the ledger of a run that this step finishes. Another step may have started it."""
        for event in events(self.instance.fetch_observations, dg.AssetRecordsFilter(self.asset_keys[0])):
            entry = LedgerEntry.from_event(event)
            if entry is not None and entry.run_id == run_id:
                return entry.name
        return default

    @property
    def definition(self) -> dg.AssetsDefinition:
        """The definition of the suite's asset."""
        return self.suite

    @property
    def definition_keys(self) -> Sequence[dg.AssetKey]:
        """The suite's asset."""
        return tuple(self.definition.keys)

    @cached_property
    def asset_keys(self) -> Sequence[dg.AssetKey]:
        """The suite's asset."""
        return self.definition_keys

    @cached_property
    def declared_checks(self) -> Mapping[dg.AssetCheckKey, dg.AssetCheckSpec]:
        """The checks on the suite's asset. Those of the tables are reported by `SuiteReporter`."""
        return {spec.key: spec for spec in self.gate_specs}

    @property
    def fills_a_range(self) -> bool:
        """False: the suite has no partitions, even in a Dagster run that has some."""
        return False

    @cached_property
    def partition(self) -> str | None:
        """None: a suite tests whole tables."""
        return None

    @cached_property
    def single_partition(self) -> str | None:
        """None: a suite tests whole tables."""
        return None

    def observe(
        self, keys: Sequence[dg.AssetKey], metadata: Mapping[str, Any], description: str, tags: Mapping[str, str]
    ) -> None:
        """See `Step.observe`. The context of a check has no `log_event` of its own."""
        for key in keys:
            observation = dg.AssetObservation(
                asset_key=key, description=description, metadata=dict(metadata), tags=dict(tags)
            )
            self.context.op_execution_context.log_event(observation)


@dataclass(frozen=True)
class SuiteReporter:
    """Reports a run of the suite that succeeded: the selected checks of the tables, then the suite itself.

    The suite comes last, so that a step which was killed in between reports the checks again. The checks of the suite's
    own asset follow it, since they name this materialization.

    Attributes:
        step: The step.
        checks: The declared checks.
        definition: The definition of the checks.
    """

    step: SuiteStep
    checks: JudgedChecks
    definition: dg.AssetChecksDefinition

    def is_outdated(self, handle: RunHandle, status: RunStatus) -> bool:
        """Whether a run of an earlier attempt started before the newest data or the newest evaluation of a table."""
        freshness, instance = self._freshness(handle), self.step.instance
        started_at = None if status.started_at is None else status.started_at.timestamp()
        if later_evaluated(instance, list(self.step.check_keys), handle.run_id, started_at):
            return True
        return any(
            freshness.problem(newest_of(self.step.instance, asset))
            for asset in {check.asset_key for check in self.step.check_keys} - set(self.step.asset_keys)
        )

    def _freshness(self, handle: RunHandle) -> StartedHere:
        step = self.step
        return StartedHere(start_of(step.instance, step.asset_keys[0], handle.correlation_id, handle.started_at))

    def report(
        self,
        execution: RemoteRunExecution,
        handle: RunHandle,
        shown: Mapping[str, Any],
        result: RunResult,
        outcomes: Sequence[CheckOutcome],
    ) -> Iterator[Any]:
        """Yields the evaluations of the selected checks, each for the materialization that the run has seen.

        Those of the suite's own asset judge the run. So they do not depend on what was materialized since it started.
        """
        step, key = self.step, self.step.asset_keys[0]
        report = self.checks.judge(
            result,
            self._freshness(handle),
            step.instance,
            identifying_metadata(shown),
            step.check_keys,
        )
        for one in report.evaluations():
            yield from self._evaluated(one)
            for observation in report.observations_with(one):
                step.context.op_execution_context.log_event(observation)
        self._log(report)
        provenance = read_provenance(execution.provenance_of(handle.correlation_id))
        step.context.op_execution_context.log_event(
            dg.AssetMaterialization(
                key,
                metadata=in_page_order(limited({**shown, **report.metadata})),
                tags=version_tags(handle.run_id, key, provenance, step.definition),
            )
        )
        of_suite: list[AssetPartition] = [(key, None)]
        stored = materializations_of(step.instance, key, [(handle.run_id, None)])
        judged = dict(zip(of_suite, stored.values(), strict=False))
        for one in evaluations(step.check_specs, of_suite, outcomes, judged):
            yield from self._evaluated(one)
        problem = report.unmapped_problem
        if problem is not None:
            raise dg.Failure(description=problem, allow_retries=False)

    def _evaluated(self, evaluation: dg.AssetCheckEvaluation) -> Iterator[Any]:
        """Yields an evaluation as Dagster does for an `AssetCheckResult`, with the output that other steps wait for.

        The evaluation of an `AssetCheckResult` would name the materialization that is the newest when Dagster converts
        it, although the run may not have seen it.
        """
        check = evaluation.asset_check_key
        if check in self.step.check_keys:
            yield dg.Output(None, output_name=self.definition.get_output_name_for_asset_check_key(check))
        yield evaluation

    def _log(self, report: ReportOnTables[Any]) -> None:
        for message in report.messages:
            self.step.log.warning("%s", message)
