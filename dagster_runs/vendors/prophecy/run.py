"""A run of a Prophecy pipeline."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from urllib.parse import quote, urlencode

import dagster as dg
from pydantic import BeforeValidator, Field, ValidationInfo

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.field_types import id_in_address, is_address
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.state import RunState, RunStatus, parse_state
from dagster_runs.remote_run.types import RunResult, StartAttempt
from dagster_runs.vendors.prophecy.resource import ProphecyResource

_WORDS = {"running": RunState.RUNNING, "succeeded": RunState.SUCCEEDED, "error": RunState.FAILED}


def _as_parameter(value: Any) -> str:
    if isinstance(value, str):
        return value
    # A boolean counts as a whole number to Python only; how the pipeline wants it spelled is not known here.
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    raise ValueError(f"Prophecy's parameters are texts or numbers, not {value!r}; write it as a text")


Parameter = Annotated[str, BeforeValidator(_as_parameter)]
"""Prophecy's parameters are texts; a number is written as one."""


# Where an id stands in the addresses of Prophecy's pages, which look like these:
# /metadata/entity/projects/{projectId}, /metadata/sql/{projectId}?entity=pipeline&name={pipelineName},
# /metadata/ide/observation?observationTab=run-history&prFabricId={fabricId}&prProjectId={projectId}
_IN_ADDRESSES = {
    "fabric_id": r"(?:[?&](?:pr)?fabric_?id=|/fabrics?/)(\d+)",
    "project_id": r"(?:[?&](?:pr)?project_?id=|/projects?/|/metadata/sql/)([A-Za-z0-9_-]+)",
    "pipeline_name": r"[?&]entity=pipeline&name=([^&#]+)",
}


def _no_address(value: Any, info: ValidationInfo) -> Any:
    name = info.field_name or ""
    if isinstance(value, str) and is_address(value, of_a_name=name != "fabric_id"):
        raise ValueError(id_in_address(value, f"(?i){_IN_ADDRESSES[name]}", name))
    return value


NoAddress = BeforeValidator(_no_address)


class ProphecyPipelineRun(RemoteRun[ProphecyResource]):
    """A run of a published pipeline on a Prophecy fabric.

    Args:
        fabric_id: Id of the fabric, from its metadata page's address.
        project_id: Id of the project.
        pipeline_name: Name of the pipeline, not its id.
        parameters: Overrides of the pipeline's parameters. Numbers become texts; all else is refused.
        branch: Git branch; by default the current working branch.
        version: Release of the project; by default the newest.
        process_name: A gem after which the run stops.

    Prophecy offers no way to cancel or list runs. With a wrong ``fabric_id`` it may take the trigger all the same: the
    run then never begins, and ends by the ``timeout``, or as one that is not known.

    Source: https://docs.prophecy.ai/api-reference/.
    """

    vendor: ClassVar[str] = "Prophecy"
    label: ClassVar[str] = "pipeline run"
    resource_key: ClassVar[str] = "prophecy"
    asset_kinds: ClassVar[frozenset[str]] = frozenset({"prophecy"})
    manual_stop_hint: ClassVar[str] = "If it must not go on, stop it in Prophecy's run history."
    sensitive_fields: ClassVar[frozenset[str]] = frozenset({"parameters"})

    fabric_id: Annotated[int, NoAddress] = Field(gt=0, lt=2**63)
    project_id: Annotated[str, NoAddress] = Field(min_length=1, coerce_numbers_to_str=True)
    pipeline_name: Annotated[str, NoAddress] = Field(min_length=1)
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    branch: str | None = None
    version: str | None = None
    process_name: str | None = None

    @property
    def target(self) -> str:
        """The pipeline's name, within its project."""
        return f"{self.project_id}/{self.pipeline_name}"

    def start(self, resource: ProphecyResource, attempt: StartAttempt) -> str:
        """POST the trigger. There is no field to mark the run as ours."""
        body = {
            "fabricId": self.fabric_id,
            "projectId": self.project_id,
            "pipelineName": self.pipeline_name,
            "parameters": self.parameters or None,
            "branch": self.branch,
            "version": self.version,
            "processName": self.process_name,
        }
        return resource.trigger_pipeline({name: value for name, value in body.items() if value is not None})

    def fetch_status(self, resource: ProphecyResource, run_id: str) -> RunStatus:
        """GET the run. Its last change is the nearest that Prophecy tells to an end time."""
        answer = resource.get_pipeline_run(run_id)
        word = answer.run_status or ""
        state = parse_state(word, _WORDS)
        return RunStatus(
            state=state,
            vendor_status=word,
            error=answer.error_message,
            started_at=answer.created_at,
            finished_at=answer.updated_at if state.is_final else None,
        )

    def fetch_result(
        self, resource: ProphecyResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """The pipeline's page."""
        page = f"{resource.api_url()}/metadata/sql/{quote(self.project_id, safe='')}"
        query = urlencode({"entity": "pipeline", "name": self.pipeline_name})
        metadata: Mapping[str, Any] = {"prophecy/pipeline_url": dg.MetadataValue.url(f"{page}?{query}")}
        return RunResult(metadata)

    def run_url(self, resource: ProphecyResource, run_id: str) -> str | None:
        """The run history of the project on the fabric: Prophecy has no page for one run."""
        query = {"observationTab": "run-history", "prFabricId": self.fabric_id, "prProjectId": self.project_id}
        return f"{resource.api_url()}/metadata/ide/observation?{urlencode(query)}"
