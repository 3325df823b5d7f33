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
from dagster_runs.remote_run.wording import with_article
from dagster_runs.vendors.prophecy.resource import ProphecyResource

_STATES = {"running": RunState.RUNNING, "succeeded": RunState.SUCCEEDED, "error": RunState.FAILED}


def _as_parameter(value: Any) -> str:
    if isinstance(value, str):
        return value
    # Python counts booleans as integers. We do not know how the pipeline wants a boolean spelled.
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    # Without the value, which may be a secret: the error of a launch is stored with the Dagster run.
    shown = str(value) if value is None or isinstance(value, float) else with_article(type(value).__name__)
    raise ValueError(f"Prophecy parameters are strings or numbers, not {shown}; pass the value as a string")


Parameter = Annotated[str, BeforeValidator(_as_parameter)]
"""A pipeline parameter. Prophecy takes strings; numbers are converted."""


# Where the ids are in the URLs of Prophecy's pages, which look like this:
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
        fabric_id: The id of the fabric, from the URL of its metadata page.
        project_id: The id of the project.
        pipeline_name: The name of the pipeline, not its id.
        parameters: Overrides for the pipeline's parameters. Numbers are converted to strings; other types are refused.
        branch: The Git branch. Defaults to the current working branch.
        version: The release of the project. Defaults to the newest.
        process_name: The gem after which the run stops.

    Prophecy's API cannot cancel or list runs. Prophecy may accept a trigger with a wrong ``fabric_id``. The run then
    never starts, and the step fails with a timeout or because Prophecy does not know the run.

    Source: https://docs.prophecy.ai/api-reference/.
    """

    vendor: ClassVar[str] = "Prophecy"
    label: ClassVar[str] = "pipeline run"
    resource_key: ClassVar[str] = "prophecy"
    asset_kinds: ClassVar[frozenset[str]] = frozenset({"prophecy"})
    manual_stop_hint: ClassVar[str] = "To stop it, use Prophecy's run history."
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
        """The project's id and the pipeline's name."""
        return f"{self.project_id}/{self.pipeline_name}"

    def start(self, resource: ProphecyResource, attempt: StartAttempt) -> str:
        """Sends the POST. The request has no field for a correlation id."""
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
        """Fetches the run. Prophecy reports no end time, so the time of the last change is used instead."""
        response = resource.get_pipeline_run(run_id)
        vendor_status = response.run_status or ""
        state = parse_state(vendor_status, _STATES)
        return RunStatus(
            state=state,
            vendor_status=vendor_status,
            error=response.error_message,
            started_at=response.created_at,
            finished_at=response.updated_at if state.is_final else None,
        )

    def fetch_result(
        self, resource: ProphecyResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """Returns a link to the pipeline's page as metadata."""
        page = f"{resource.api_url()}/metadata/sql/{quote(self.project_id, safe='')}"
        query = urlencode({"entity": "pipeline", "name": self.pipeline_name})
        metadata: Mapping[str, Any] = {"prophecy/pipeline_url": dg.MetadataValue.url(f"{page}?{query}")}
        return RunResult(metadata)

    def run_url(self, resource: ProphecyResource, run_id: str) -> str | None:
        """Returns the URL of the project's run history on the fabric. Prophecy has no page for a single run."""
        query = {"observationTab": "run-history", "prFabricId": self.fabric_id, "prProjectId": self.project_id}
        return f"{resource.api_url()}/metadata/ide/observation?{urlencode(query)}"
