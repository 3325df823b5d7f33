"""The base of every vendor's resource: connection settings, secrets, and the one-line way to run something."""

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
from pydantic import (
    Field,
    PrivateAttr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from dagster_runs.remote_run import settings
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.events import check_specs
from dagster_runs.remote_run.execution.own_asset import AssetKeyLike, coerced_key, run_in_asset
from dagster_runs.remote_run.options import OnConflict, OnMissingPartition, OnTimeout, OnUncertainStart, RunOptions
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.settings import Flag, Number, OptionalNumber, WholeNumber
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.transport.auth import Auth
from dagster_runs.transport.client import ErrorReader, HttpClient, HttpSettings
from dagster_runs.transport.errors import InvalidRequestError
from dagster_runs.version import __version__


class RemoteRunResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Connection to one vendor's API.

    Args:
        request_timeout: Seconds to wait for an answer.
        connect_timeout: Seconds to wait for a connection.
        max_retries: Further tries of a call that may be repeated.
        poll_interval: Longest pause between two looks at a run, in seconds.
        requests_per_second: Client-side limit for everything in this process that uses the account; ``None``: none.
        allow_plain_http: Send credentials over plain http to another machine. Loopback needs no permission.
        ca_bundle: Path of a PEM file with the certificates of the authorities to trust, where a private one signed the
            vendor's or a proxy's. By default those that ``REQUESTS_CA_BUNDLE`` names, or else the public ones.
        dagster_url: Address of your Dagster UI; vendors that show a link back get the run's page there.

    Each setting can be a `dagster.EnvVar` (numbers also a `dagster.EnvVar.int`): the variable's value is validated when
    Dagster initializes the resource, or, in a script, when it is first needed. Pass secrets as `dagster.EnvVar`; a
    secret that is a literal is kept out of what Dagster stores and shows.
    """

    vendor: ClassVar[str]
    secret_fields: ClassVar[tuple[str, ...]] = ()
    oauth_fields: ClassVar[tuple[str, ...]] = ()
    """The fields of an OAuth client, where the vendor takes one instead of an ``access_token``."""

    request_timeout: Number = Field(default=30.0, gt=0)
    connect_timeout: Number = Field(default=5.0, gt=0)
    max_retries: WholeNumber = Field(default=5, ge=0)
    poll_interval: Number = Field(default=30.0, ge=0.1)
    requests_per_second: OptionalNumber = Field(default=None, gt=0)
    allow_plain_http: Flag = False
    ca_bundle: str | None = None
    dagster_url: str | None = None

    _client: HttpClient | None = PrivateAttr(default=None)
    _resolved: dict[str, Any] | None = PrivateAttr(default=None)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**{name: self._kept_secret(name, value) for name, value in fields.items()})

    @classmethod
    def _kept_secret(cls, name: str, value: Any) -> Any:
        # Dagster writes a resource's literal values into the snapshots that the UI shows and the run storage keeps, and
        # only an EnvVar's name. So a literal secret moves into this process's environment, and an EnvVar stands for it.
        if name not in cls.secret_fields or not isinstance(value, str) or isinstance(value, dg.EnvVar):
            return value
        if not value.strip():
            return value  # which is refused
        number = 1
        while os.environ.get(variable := f"DAGSTER_RUNS_{cls.__name__}_{name}_{number}".upper(), value) != value:
            number += 1
        os.environ[variable] = value
        return dg.EnvVar(variable)

    @classmethod
    def configure_at_launch(cls, **fields: Any) -> Any:
        """As Dagster's own, with literal secrets kept out of what is stored."""
        return super().configure_at_launch(**{name: cls._kept_secret(name, value) for name, value in fields.items()})

    @field_validator("*", mode="wrap")
    @classmethod
    def _literal_or_variable(cls, value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        is_secret = name in cls.secret_fields
        return settings.validated(cls, name, cls.model_fields[name], value, validate, is_secret=is_secret)

    if not TYPE_CHECKING:  # to mypy this method would mean that any attribute is there

        def __getattribute__(self, name: str) -> Any:
            """A setting's value: where Dagster has not read its environment variable, this does."""
            value = super().__getattribute__(name)
            if not settings.is_variable(value) or name in type(self).secret_fields:
                return value
            return self._read_variables()[name]

    def _read_variables(self) -> dict[str, Any]:
        """All settings, with the variables that Dagster has not read replaced by their values, and all validated."""
        if self._resolved is None:
            fields = {name: value for name, value in self if value is not None}
            variables = [name for name, value in fields.items() if settings.is_variable(value)]
            to_read = {name: {"env": fields[name].env_var_name} for name in variables if name not in self.secret_fields}
            try:
                self._resolved = dict(type(self)(**{**fields, **to_read})) if to_read else fields
            except ValueError as error:
                raise self._unusable(settings.problems(error)) from None
        return self._resolved

    def _unusable(self, detail: str) -> InvalidRequestError:
        hint = "Correct the resource's settings."
        return InvalidRequestError(f"{type(self).__name__}: {detail}", vendor=self.vendor, hint=hint)

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> Self:
        if not self.oauth_fields:
            return self
        *first, last = self.oauth_fields
        client = f"{', '.join(first)} and {last}"
        # Not by attribute, which would read a variable already.
        given = [self.__dict__[name] is not None for name in self.oauth_fields]
        has_token = self.__dict__.get("access_token") is not None
        if not has_token and not all(given):
            raise ValueError(f"{type(self).__name__} needs access_token, or {client}")
        if has_token and any(given):
            raise ValueError(f"{type(self).__name__} takes access_token, or {client}, but not both")
        return self

    def secret(self, name: str) -> str | None:
        """The value of a secret field; ``None`` if it was left out.

        Raises:
            InvalidRequestError: It is an environment variable that is not set, or empty.
        """
        value: str | None = getattr(self, name)
        if not settings.is_variable(value):
            return value
        try:
            return settings.read(value)
        except ValueError as error:
            raise self._unusable(f"{name}: {error}") from None

    def http(self) -> HttpClient:
        """The client for this vendor's API; made once, then kept."""
        if self._client is None:
            self._read_variables()
            try:
                self._client = self.new_client(self.api_url(), self.auth())
            except InvalidRequestError as error:
                variable = settings.variable_with(type(self), "base_url", self.__dict__.get("base_url"))
                if variable is None or error.path is not None or "base URL" not in error.detail:
                    raise
                detail = f"{error.detail} (base_url is from the environment variable {variable})"
                raise InvalidRequestError(detail, vendor=self.vendor, hint=error.hint) from None
        return self._client

    def new_client(self, base_url: str, auth: Auth) -> HttpClient:
        """A client with this resource's settings, for an address of the same vendor."""
        return HttpClient(
            vendor=self.vendor,
            base_url=base_url,
            account=self.account(),
            auth=auth,
            settings=HttpSettings(
                request_timeout=self.request_timeout,
                connect_timeout=self.connect_timeout,
                max_retries=self.max_retries,
                requests_per_second=self.requests_per_second,
                allow_plain_http=self.allow_plain_http,
                ca_bundle=self.ca_bundle,
            ),
            read_error=self.error_reader(),
            user_agent=f"dagster-runs/{__version__}",
        )

    @abstractmethod
    def api_url(self) -> str:
        """Where the API is."""

    @abstractmethod
    def auth(self) -> Auth:
        """The credentials."""

    def account(self) -> str:
        """Names what shares a rate limit at one address; no secret."""
        return ""

    def error_reader(self) -> ErrorReader:
        """Finds code and message in the vendor's error bodies."""
        return lambda body: (None, None)

    def list_runs(self, since: float, until: float | None = None) -> Iterator[ListedRun] | None:
        """The account's runs of all kinds that were made since then, whoever started them.

        Args:
            since: Epoch seconds by our clock.
            until: Likewise; later ones may be left out, so that a list that grew too long can be read part by part.

        Returns:
            ``None`` where the vendor lists none, or the resource lacks a setting for it.
        """
        return None

    def list_finished(self, since: float, until: float | None = None) -> Iterator[ListedRun] | None:
        """The account's runs that ended since then, in whatever state: few, where very many are going.

        Args:
            since: Epoch seconds by our clock.
            until: Likewise; ``None`` for now.

        Returns:
            ``None`` where the vendor cannot list them.
        """
        return None

    def dagster_run_url(self, dagster_run_id: str) -> str | None:
        """Address of a Dagster run in the UI; ``None`` if ``dagster_url`` is not set."""
        return f"{self.dagster_url.rstrip('/')}/runs/{dagster_run_id}" if self.dagster_url else None

    @classmethod
    def check_specs(
        cls,
        run: RemoteRun[Any] | type[RemoteRun[Any]],
        asset: AssetKeyLike,
        gate: QualityGate | None = None,
        *,
        partitions_def: dg.PartitionsDefinition[Any] | None = None,
    ) -> Sequence[dg.AssetCheckSpec]:
        """The checks of a run, to be declared by an asset of your own that calls `run`.

        The asset reports only the checks that it declares. It needs those of the quality results to be given a gate.

        Args:
            run: The run, or its class.
            asset: The asset's key.
            gate: The gate that is given to `run`. If it is blocking, so are the checks that it judges.
            partitions_def: The asset's partitions, so that a bad partition holds back no good one.

        Raises:
            DagsterInvalidDefinitionError: The arguments make no sense together.

        Example:
            ``@dg.asset(check_specs=TestGenResource.check_specs(TestGenTestRun, "orders", QualityGate(blocking=True)))``
        """
        run_class = run if isinstance(run, type) else type(run)
        if not issubclass(run_class, RemoteRun):
            raise dg.DagsterInvalidDefinitionError(f"run is {run!r}; it must be a run, or the class of one")
        if getattr(cls, "vendor", run_class.vendor) != run_class.vendor:
            raise dg.DagsterInvalidDefinitionError(
                f"{cls.__name__} runs no {run_class.__name__}: that is a run of {run_class.vendor}'s"
            )
        RunOptions(gate=gate).check_for(run_class)
        return check_specs(run_class, coerced_key("asset", asset), gate, partitions_def)

    def run(
        self,
        context: dg.AssetExecutionContext,
        run: RemoteRun[Any],
        *,
        gate: QualityGate | None = None,
        timeout: float | None = None,
        on_timeout: OnTimeout = "leave",
        on_uncertain_start: OnUncertainStart = "fail",
        on_conflict: OnConflict = "wait",
        on_missing_partition: OnMissingPartition = "fail",
        assets: Sequence[AssetKeyLike] | None = None,
        name: str = "",
    ) -> Iterator[Any]:
        """Run something at the vendor, inside an asset of your own: ``yield from testgen.run(context, run)``.

        The call checks its arguments. Iterating what it returns starts the run, or attaches to the one that an earlier
        attempt of this step started; waits for its end; yields the asset's materialization with metadata, and the
        results of those checks that the asset declares (see `check_specs`).

        All events have to reach Dagster, so the step fails if they are not yielded or returned. An asset that also
        stores a value yields it as `dagster.Output`, in place of the materialization.

        Args:
            context: The asset's context.
            run: What to run.
            gate: How quality results are judged. The asset has to declare the checks that it judges.
            timeout: Seconds from the start until waiting ends; by default the run's own ``default_timeout``.
            on_timeout: ``"leave"`` the remote run going then, or ``"cancel"`` it.
            on_uncertain_start: ``"fail"`` when a start's answer is lost and the run cannot be found, or
                ``"start_again"``, at the risk of a second run.
            on_conflict: ``"wait"`` when somebody else's run is in the way, or ``"fail"``.
            on_missing_partition: ``"fail"`` when a partitioned asset is launched without a partition, or ``"start"`` a
                run without one: it has no window, and its materialization counts for no partition.
            assets: The keys of the assets that the run fills; by default all of the step's.
            name: Tells several runs in one step apart; needed only then.

        Raises:
            RunFailed, RunCanceled, RunLost, RunTimedOut, RunConflict, RunTerminated, StartOutcomeUnknown: The run did
                not end well. Each is a `dagster.Failure`.
            dagster.Failure: An argument makes no sense, and nothing was started; or the vendor refused a call for a
                reason that a retry cannot cure.
            VendorError: A call failed for another reason.
        """
        options = RunOptions(
            gate=gate,
            timeout=timeout,
            on_timeout=on_timeout,
            on_uncertain_start=on_uncertain_start,
            on_conflict=on_conflict,
            on_missing_partition=on_missing_partition,
        )
        return run_in_asset(self, context, run, options, assets=assets, name=name)
