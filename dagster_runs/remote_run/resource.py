"""The base class of every vendor's resource: its HTTP client, its lists, and the `run` method."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import dagster as dg
from pydantic import PrivateAttr
from typing_extensions import Self

from dagster_runs.remote_run import connection_check, settings
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.events import check_specs
from dagster_runs.remote_run.execution.user_asset import AssetKeyLike, coerced_key, run_in_asset
from dagster_runs.remote_run.options import OnConflict, OnMissingPartition, OnTimeout, OnUncertainStart, RunOptions
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.resource_settings import ResourceSettings
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.remote_run.vendor_code import vendor_code
from dagster_runs.transport.auth import Auth, HeaderAuth
from dagster_runs.transport.client import ErrorReader, HttpClient
from dagster_runs.transport.errors import InvalidRequestError
from dagster_runs.transport.http_settings import HttpSettings
from dagster_runs.transport.oauth import exchanged_token
from dagster_runs.transport.url import check_base_url
from dagster_runs.version import __version__


class RemoteRunResource(ResourceSettings):
    """Connection to one vendor's API.

    Its settings are those of `ResourceSettings`, and those that the vendor's own class adds.
    """

    paths_end_in_slash: ClassVar[bool] = False
    """Whether the paths of the vendor's API end in a slash. Without it, such servers refuse a POST."""
    lists_by_target: ClassVar[bool] = False
    """Whether `list_runs` makes a call for each target, so that it saves no calls while few runs are active."""

    _client: HttpClient | None = PrivateAttr(default=None)

    def http(self) -> HttpClient:
        """Returns the client for this vendor's API. It is created once."""
        if self._client is None:
            self._read_variables()
            try:
                with vendor_code(self, self, "auth"):
                    self._client = self.new_client(self.api_url(), self.auth())
            except InvalidRequestError as error:
                variable = settings.variable_with(type(self), "base_url", self.__dict__.get("base_url"))
                if variable is None or error.path is not None or "base URL" not in error.detail:
                    raise
                detail = f"{error.detail} (base_url is from the environment variable {variable})"
                raise InvalidRequestError(detail, vendor=self.vendor, hint=error.hint) from None
        return self._client

    @property
    def existing_client(self) -> HttpClient | None:
        """The client, if it has been created."""
        return self._client

    def new_client(self, base_url: str, auth: Auth, *, paths_end_in_slash: bool | None = None) -> HttpClient:
        """Returns a client with this resource's settings, for another URL of the same vendor.

        Args:
            base_url: The URL.
            auth: The credentials.
            paths_end_in_slash: Whether its paths end in a slash. Defaults to the resource's own.
        """
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
                paths_end_in_slash=self.paths_end_in_slash if paths_end_in_slash is None else paths_end_in_slash,
                ca_bundle=self.ca_bundle,
            ),
            read_error=self.error_reader(),
            user_agent=f"dagster-runs/{__version__}",
        )

    def exchanged_token(
        self,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        auth: Auth | None = None,
        secrets: Sequence[str],
        hint: str = "",
        scheme: str = "Bearer",
        more_headers: Mapping[str, str] | None = None,
        max_renewals: int = 1,
    ) -> Auth:
        """Returns credentials that are a token from a token endpoint, for `auth`.

        The token is fetched on first use with a POST, which is retried after transient failures. It is renewed before
        it expires, and after a 401. Everything in this process that uses the same credentials shares one token.

        Args:
            url: The URL of the endpoint.
            form: The form fields of the request, such as ``grant_type`` and ``client_id``.
            json: The fields of the request as JSON, in place of ``form``.
            auth: The credentials for the endpoint itself, if it expects any in headers.
            secrets: The secret values in the fields. They and the tokens are hidden everywhere.
            hint: What the user can do when the vendor refuses to issue a token.
            scheme: The scheme of the ``Authorization`` header that the token is sent in.
            more_headers: Headers to send with the token.
            max_renewals: How many times one call may renew the token.

        Raises:
            InvalidRequestError: The URL is invalid.
        """
        checked = check_base_url(url, vendor=self.vendor, allow_plain_http=self.allow_plain_http)
        if checked.rpartition("/")[0].endswith("/"):
            raise InvalidRequestError(f"the token URL {checked!r} has no path", vendor=self.vendor)
        return exchanged_token(
            self.new_client,
            checked + ("/" if url.strip().endswith("/") else ""),
            form=form,
            json=json,
            auth=auth,
            secrets=secrets,
            hint=hint,
            scheme=scheme,
            more_headers=more_headers,
            max_renewals=max_renewals,
            connection=(self.ca_bundle, self.allow_plain_http),
        )

    @abstractmethod
    def api_url(self) -> str:
        """Returns the URL of the API."""

    @abstractmethod
    def auth(self) -> Auth:
        """Returns the credentials."""

    def account(self) -> str:
        """Returns the name of the account that the rate limit applies to. Must not be a secret."""
        return ""

    def error_reader(self) -> ErrorReader:
        """Returns a function that extracts the code and the message from the vendor's error bodies."""
        return lambda body: (None, None)

    def check_access(self, runs: Sequence[RemoteRun[Any]]) -> str | None:
        """Checks the URL and the credentials with a call that starts nothing, for ``dagster-runs check``.

        By default, asks for the status of a run that does not exist, with one of ``runs``: see
        `check_with_unknown_run`. Override it if the vendor has a better call, such as one that returns the account.

        Args:
            runs: Runs of assets that use this resource; empty if none is known.

        Returns:
            What the vendor has said about the account or the server, in a few words, such as its version; may be empty.
            ``None`` if the credentials were not checked, because there is no call to do it with.

        Raises:
            VendorError: The vendor cannot be reached, or does not accept the credentials.
        """
        if not runs:
            return None
        self.check_with_unknown_run(runs[0].fetch_status)
        return ""

    def get_access(self, runs: Sequence[RemoteRun[Any]]) -> str | None:
        """Like `check_access`, but turns an error of the vendor's code into a `VendorError`."""
        with vendor_code(self, self, "check_access"):
            return self.check_access(runs)

    def check_with_unknown_run(self, fetch: Callable[[Self, str], object]) -> None:
        """Checks the credentials by asking for a run that does not exist, with and without them.

        Args:
            fetch: Makes the call, with the given resource, about a run with the given id.

        Raises:
            VendorError: The vendor cannot be reached, does not accept the credentials, or responds the same without
                them, so that it is another server.
        """
        connection_check.check_with_unknown_run(self, lambda resource: fetch(resource, connection_check.UNKNOWN_RUN_ID))

    def without_credentials(self) -> Self:
        """Returns a copy of this resource that sends no credentials."""
        copy = self.model_copy()
        copy._client = self.new_client(self.api_url(), HeaderAuth({}, secrets=()))
        return copy

    def list_runs(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[ListedRun] | None:
        """Lists the account's runs since a point in time, including those that Dagster did not start.

        Args:
            since: The earliest creation time, in epoch seconds by our clock.
            until: Epoch seconds by our clock; ``None`` for now. Runs created later may be left out, so that a very long
                list can be read in parts.
            targets: The targets whose runs are wanted, as `RemoteRun.observed_target` returns them, of the kinds of
                runs that have a `RemoteRun.target_of_listed`. A vendor that lists runs by target needs them; runs of
                other targets may be listed too.

        Returns:
            ``None`` if the vendor cannot list runs, or the resource lacks a setting that this needs.
        """
        return None

    def list_finished(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[ListedRun] | None:
        """Lists the account's runs that finished since a point in time, in any final state.

        This list stays short even if very many runs are active.

        Args:
            since: The point in time, in epoch seconds by our clock.
            until: Epoch seconds by our clock; ``None`` for now.
            targets: As for `list_runs`.

        Returns:
            ``None`` if the vendor cannot list finished runs.
        """
        return None

    def dagster_run_url(self, dagster_run_id: str) -> str | None:
        """Returns the URL of a Dagster run in the UI; ``None`` if ``dagster_url`` is not set."""
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
        """Returns the check specs of a run, to be declared by your own asset that calls `run`.

        The asset reports only the checks that it declares. To use a gate, it must declare the checks that the gate
        judges.

        Args:
            run: The run, or its class if its checks do not depend on its fields.
            asset: The key of the asset.
            gate: The gate that you pass to `run`. If it is blocking, the checks that it judges are blocking too.
            partitions_def: The asset's partitions, so that a bad partition does not block good ones.

        Raises:
            DagsterInvalidDefinitionError: The arguments are invalid or incompatible.

        Example:
            ``@dg.asset(check_specs=TestGenResource.check_specs(TestGenTestRun, "orders", QualityGate(blocking=True)))``
        """
        run_class = run if isinstance(run, type) else type(run)
        if not issubclass(run_class, RemoteRun):
            raise dg.DagsterInvalidDefinitionError(f"run is {run!r}; it must be a run or a run class")
        if getattr(cls, "vendor", run_class.vendor) != run_class.vendor:
            raise dg.DagsterInvalidDefinitionError(
                f"{cls.__name__} cannot run a {run_class.__name__}, which belongs to {run_class.vendor}. Call "
                f"check_specs of {run_class.vendor}'s resource"
            )
        RunOptions(gate=gate).check_for(run_class)
        return check_specs(run, coerced_key("asset", asset), gate, partitions_def)

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
        """Executes a remote run inside your own asset: ``yield from testgen.run(context, run)``.

        The call itself only checks its arguments. Iterating over the result starts the run, or attaches to the run that
        an earlier attempt of this step started, and polls it until it finishes. It then yields the asset's
        materialization with metadata, and the results of the checks that the asset declares (see `check_specs`).

        All events must reach Dagster, so the step fails if they are not yielded or returned. An asset that also stores
        a value yields it as `dagster.Output`, in place of the materialization.

        Args:
            context: The context of the asset.
            run: The run to execute.
            gate: The quality gate. The asset must declare the checks that it judges.
            timeout: The timeout in seconds after the start. Defaults to the run's own ``default_timeout``.
            on_timeout: After a timeout, ``"leave"`` the remote run running, or ``"cancel"`` it.
            on_uncertain_start: If the response to a start is lost and the run cannot be found, ``"fail"``, or
                ``"start_again"`` at the risk of a second run.
            on_conflict: If another run, which this step did not start, prevents the start, ``"wait"`` until it
                finishes, or ``"fail"``.
            on_missing_partition: If a partitioned asset is launched without a partition, ``"fail"``, or ``"start"`` a
                run without one. Such a run has no time window, and its materialization does not count for a partition.
            assets: The keys of the assets that the run materializes. Defaults to all assets of the step.
            name: A name that distinguishes several runs in the same step. Needed only then.

        Raises:
            RunFailed, RunCanceled, RunLost, RunTimedOut, RunConflict, RunTerminated, StartOutcomeUnknown: The run did
                not succeed. Each is a `dagster.Failure`.
            dagster.Failure: An argument is invalid, and nothing was started; or the vendor refused a call for a
                permanent reason.
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
