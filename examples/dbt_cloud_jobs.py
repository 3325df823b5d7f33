"""dbt Cloud jobs as Dagster assets: a vendor in one file, with a check for each command of a job.

What the API does, and which page says so:

* Paths, bodies, the numbers of the statuses, paging (at most 100 a page): the Administrative API v2,
  https://docs.getdbt.com/dbt-cloud/api-v2, which is generated from openapi-v2.yaml in
  https://github.com/dbt-labs/dbt-cloud-openapi-spec. It does not limit the length of a cause; the 255 characters are
  ``DBT_CAUSE_MAX_LENGTH`` of Airflow's dbt Cloud provider.
* ``include_related`` is a list in JSON: https://docs.getdbt.com/guides/zapier-slack.
* Each run begins with steps that clone the repository, connect to the warehouse, and run ``dbt deps``:
  https://docs.getdbt.com/docs/deploy/job-commands. A step of a command is named after it, which the OpenLineage
  extractor of Airflow's provider relies on too: "Invoke dbt with `dbt build`".
* A run waits in the queue while another run of the same job is active, so a start is never refused because of one:
  https://docs.getdbt.com/docs/deploy/job-scheduler.
"""

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any

import dagster as dg
from pydantic import AliasPath, Field

from dagster_runs import vendor_sdk as sdk

S = sdk.RunState
STATES = {"1": S.QUEUED, "2": S.QUEUED, "3": S.RUNNING, "10": S.SUCCEEDED, "20": S.FAILED, "30": S.CANCELED}
PAGE_SIZE = 100
NEWEST: dict[str, str | int] = {"order_by": "-id", "include_related": '["trigger"]', "limit": PAGE_SIZE}
INVOKED = "Invoke dbt with `{}`"
"""The name of a step that runs a command. The other steps are dbt Cloud's own, such as the clone."""


class Step(sdk.VendorModel):
    """A step of a run."""

    name: str = ""
    status: sdk.Lenient[int] = None
    status_humanized: sdk.Lenient[str] = None


class Run(sdk.VendorModel):
    """A run of a job. Nothing is required, so that no entry of a list is left out. An unknown status is active."""

    id: sdk.Lenient[sdk.RunId] = None
    created_at: sdk.OptionalTime = None
    status: sdk.Lenient[int] = None
    status_humanized: sdk.Lenient[str] = None
    status_message: sdk.ErrorText = None
    started_at: sdk.OptionalTime = None
    finished_at: sdk.OptionalTime = None
    job_definition_id: sdk.Lenient[int] = None
    git_sha: sdk.Lenient[str] = None
    run_steps: sdk.Lenient[list[Step]] = None
    cause: sdk.Lenient[str] = Field(default=None, validation_alias=AliasPath("trigger", "cause"))

    def as_status(self) -> sdk.RunStatus:
        """Returns the status in terms that all vendors share."""
        state, name = sdk.parse_state(str(self.status), STATES), self.status_humanized or str(self.status)
        times = (self.created_at, self.started_at, self.finished_at)
        return sdk.RunStatus(state, name, self.status_message, *times, raw=self)


class OneRun(sdk.VendorModel):
    """The response to a start, and to a status call."""

    data: Run


class Runs(sdk.VendorModel):
    """A page of the list of runs."""

    data: sdk.EachReadable[Run]


class DbtCloudResource(sdk.RemoteRunResource):
    """Connection to a dbt Cloud account.

    Args:
        account_id: The id of the account, from the URL of any of its pages.
        token: A service token or a personal access token that may run jobs. Pass it as `dg.EnvVar`.
        base_url: The account's access URL, from its settings.

    Source: https://docs.getdbt.com/dbt-cloud/api-v2, section Authentication.
    """

    vendor = "dbt Cloud"
    secret_fields = ("token",)
    paths_end_in_slash = True

    account_id: sdk.WholeNumber = Field(gt=0)
    token: str = Field(repr=False)
    base_url: str = "https://cloud.getdbt.com"

    def api_url(self) -> str:
        return f"{self.base_url.rstrip('/')}/api/v2/accounts/{self.account_id}"

    def auth(self) -> sdk.Auth:
        return sdk.authorization("Token", self.secret("token") or "")

    def error_reader(self) -> sdk.ErrorReader:
        return lambda body: (None, body["status"]["user_message"])

    def list_runs(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[sdk.ListedRun]:
        only = {"job_definition_id": next(iter(targets))} if len(targets) == 1 else {}
        for offset in itertools.count(0, PAGE_SIZE):
            page = self.http().get(["runs"], params={**NEWEST, "offset": offset, **only}).parse(Runs).data.entries
            for entry in page:
                run = entry.read_as(Run) if isinstance(entry, sdk.Unreadable) else entry
                created_at = self.http().by_our_clock(run.created_at)
                if created_at is not None and created_at < since:
                    return
                yield sdk.ListedRun(run.id or sdk.UNREADABLE_ID, created_at, run.as_status().state, run)
            if len(page) < PAGE_SIZE:
                return


Command = Annotated[str, Field(pattern=r"^dbt ")]


class DbtCloudJobRun(sdk.RemoteRun[DbtCloudResource]):
    """A run of a dbt Cloud job.

    Args:
        job_id: The id of the job, from the URL of its page.
        steps: The commands of the job in their order, as in its settings in dbt Cloud. There is a check for each. They
            are not sent. A launch cannot change them, because an asset's checks are fixed.
        steps_override: Commands to run in place of the job's. If there are as many as ``steps``, each check judges the
            command at its position. Otherwise, a check judges its own command, and warns if that did not run.
            Placeholders such as ``{partition_key}`` are allowed only here.
        git_branch: The Git branch to check out.
        git_sha: The Git commit to check out.
        schema_override: The schema to write to.
        threads_override: The number of threads.
        cause: The reason that dbt Cloud shows. Our id of the start precedes it.
        project_id: The id of the job's project, from the URL of the job's page, for the link to the run.

    Source: https://docs.getdbt.com/dbt-cloud/api-v2, operation "Trigger Job Run".
    """

    vendor, label, resource_key = "dbt Cloud", "job run", "dbt_cloud"
    asset_kinds = frozenset({"dbtcloud"})
    local_fields = frozenset({"steps", "project_id"})

    job_id: int = Field(gt=0)
    steps: tuple[Command, ...] = ()
    steps_override: tuple[Command, ...] | None = Field(default=None, min_length=1)
    git_branch: str | None = None
    git_sha: str | None = None
    schema_override: str | None = None
    threads_override: int | None = None
    cause: str = Field(default="Started by Dagster", max_length=200)
    project_id: int | None = None

    @property
    def target(self) -> str:
        return str(self.job_id)

    def declared_checks(self) -> Mapping[str, sdk.DataCheck]:
        stems = [re.sub("[^A-Za-z0-9]+", "_", command)[:100].strip("_") for command in self.steps]
        # Two underscores, because a stem has none next to each other: a numbered name is not the stem of another step.
        names = [f"{stem}__{n}" if (n := stems[:at].count(stem)) else stem for at, stem in enumerate(stems)]
        texts = [f"Whether the step `{command}` succeeded." for command in self.steps]
        return {name: sdk.DataCheck(text, on_failure=True) for name, text in zip(names, texts, strict=True)}

    def start(self, resource: DbtCloudResource, attempt: sdk.StartAttempt) -> str:
        sent = self.model_dump(mode="json", exclude_none=True, exclude={"job_id", *self.local_fields})
        sent["cause"] = f"{attempt.correlation_id} {self.cause}"
        return resource.http().post_once(["jobs", self.job_id, "run"], json=sent).parse(OneRun).data.id or ""

    def fetch_status(self, resource: DbtCloudResource, run_id: str) -> sdk.RunStatus:
        params = {"include_related": '["run_steps"]'}
        return resource.http().get(["runs", run_id], params=params).parse(OneRun).data.as_status()

    def status_of_listed(self, resource: DbtCloudResource, listed: sdk.ListedRun) -> sdk.RunStatus:
        # The list has no steps, which the checks of a finished run need.
        return self.get_status(resource, listed.run_id) if listed.state.is_final else listed.raw.as_status()

    def target_of_listed(self, resource: DbtCloudResource, listed: sdk.ListedRun) -> str | None:
        job_id = listed.raw.job_definition_id if listed.raw.id else None
        return str(job_id) if job_id else listed.target_if_unreadable

    def fetch_progress(self, resource: DbtCloudResource, run_id: str, status: sdk.RunStatus) -> Mapping[str, Any]:
        return {"dbt_cloud/step": status.raw.run_steps[-1].name} if status.raw.run_steps else {}

    def fetch_result(
        self, resource: DbtCloudResource, run_id: str, status: sdk.RunStatus, gate: sdk.QualityGate | None
    ) -> sdk.RunResult:
        steps = status.raw.run_steps or []
        table = sdk.table_entries("dbt_cloud/steps", [{"step": s.name, "status": s.status_humanized} for s in steps])
        return sdk.RunResult({"dbt_cloud/commit": status.raw.git_sha, **table}, [*self.outcomes(steps, status.state)])

    def outcomes(self, steps: Sequence[Step], state: sdk.RunState) -> Iterator[sdk.CheckOutcome]:
        """Yields an outcome for each check, from the first step of its command that is left."""
        # What comes before the commands of the job is dbt Cloud's own, up to its `dbt deps`.
        left = list(itertools.dropwhile(lambda step: step.name != INVOKED.format("dbt deps"), steps))[1:]
        override = self.steps_override or self.steps
        commands = override if len(override) == len(self.steps) else self.steps
        for name, command in zip(self.declared_checks(), commands, strict=True):
            found = [at for at, step in enumerate(left) if step.name == INVOKED.format(command)]
            step, left = (left[found[0]], left[found[0] + 1 :]) if found else (Step(status_humanized="not run"), left)
            # If an earlier failure or the override left out a command, this says nothing about the data.
            is_left_out = not found and (state is not S.SUCCEEDED or override != commands)
            severity = dg.AssetCheckSeverity.WARN if is_left_out else dg.AssetCheckSeverity.ERROR
            passed = STATES.get(str(step.status)) is S.SUCCEEDED
            yield sdk.CheckOutcome(name, passed, severity, f"Status: {step.status_humanized}")

    def cancel(self, resource: DbtCloudResource, run_id: str) -> None:
        resource.http().send_repeatable("POST", ["runs", run_id, "cancel"], may_be_empty=True)

    def find_started(self, resource: DbtCloudResource, attempt: sdk.StartAttempt) -> Sequence[sdk.StartCandidate]:
        found = []
        for one in resource.list_runs(attempt.earliest, targets=[self.target]):
            is_ours = attempt.correlation_id in (one.raw.cause or "")
            is_possible = attempt.may_have_created(one.created_at) is not False
            if is_ours or (one.raw.cause is None and is_possible):
                found.append(sdk.StartCandidate(one.run_id, is_ours, is_ambiguous=not is_ours))
        return found

    def run_url(self, resource: DbtCloudResource, run_id: str) -> str | None:
        page = f"/deploy/{resource.account_id}/projects/{self.project_id}/runs/{run_id}"
        return resource.base_url.rstrip("/") + page if self.project_id else None
