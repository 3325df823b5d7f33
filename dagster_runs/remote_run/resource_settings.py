"""The settings of every vendor's resource: their types, environment variables, and secrets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg
from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from dagster_runs.remote_run import settings
from dagster_runs.remote_run.field_errors import (
    InvalidSettings,
    documented_fields,
    explained,
    plain_description,
    unknown_fields,
)
from dagster_runs.remote_run.resource_class import check_resource_class
from dagster_runs.remote_run.run_links import RunUrlTemplate
from dagster_runs.remote_run.settings import Flag, Number, OptionalNumber, OptionalWholeNumber, WholeNumber
from dagster_runs.transport.errors import InvalidRequestError


class ResourceSettings(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The settings that the resources of all vendors have.

    Args:
        request_timeout: Seconds to wait for a response.
        connect_timeout: Seconds to wait for a connection.
        max_retries: The maximum number of retries of a call that may be repeated.
        poll_interval: The longest pause between two polls of a run, in seconds.
        requests_per_second: The client-side rate limit for all processes of one user on this machine that use the same
            account; ``None`` for no limit.
        allow_plain_http: Allow sending credentials over plain HTTP to another machine. Loopback is always allowed.
        ca_bundle: Path of a PEM file with trusted CA certificates, for a vendor or proxy that uses a private CA.
            Defaults to those that ``REQUESTS_CA_BUNDLE`` names, or else the public ones.
        max_in_flight: The maximum number of deferred runs in flight with this resource, among the assets of one
            completion sensor; ``None`` for no limit. Runs with ``wait="poll"`` are not limited; use a pool for them.
        dagster_url: The URL of your Dagster UI. Vendors that show a link back get the URL of the run's page there.
        run_url_template: The address of the vendor's page of a run, for links, such as
            ``https://vendor.example.com/{kind}/{target}/runs/{run_id}``. Replaces the address that the package knows,
            if any.

    Each setting can be a `dagster.EnvVar` (numbers also a `dagster.EnvVar.int`). The variable's value is validated when
    Dagster initializes the resource, or, in a script, when it is first needed. Pass secrets as `dagster.EnvVar`. A
    secret that is a literal is also kept out of what Dagster stores and shows.
    """

    vendor: ClassVar[str]
    secret_fields: ClassVar[tuple[str, ...]] = ()
    oauth_fields: ClassVar[tuple[str, ...]] = ()
    """The fields for OAuth credentials, if the vendor accepts them instead of an ``access_token``."""

    request_timeout: Number = Field(default=30.0, gt=0)
    connect_timeout: Number = Field(default=5.0, gt=0)
    max_retries: WholeNumber = Field(default=5, ge=0)
    poll_interval: Number = Field(default=30.0, ge=0.1)
    requests_per_second: OptionalNumber = Field(default=None, gt=0)
    allow_plain_http: Flag = False
    ca_bundle: str | None = None
    max_in_flight: OptionalWholeNumber = Field(default=None, ge=1)
    dagster_url: str | None = None
    run_url_template: RunUrlTemplate | None = None

    _resolved: dict[str, Any] | None = PrivateAttr(default=None)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuses a subclass whose attributes are invalid."""
        super().__pydantic_init_subclass__(**kwargs)
        check_resource_class(cls)
        for name, text in documented_fields(cls).items():
            field = cls.model_fields.get(name)
            if field is not None:
                field.description = field.description or text

    def __init__(self, **fields: Any) -> None:
        unknown = unknown_fields(type(self), fields)
        if unknown is not None:
            raise unknown
        try:
            super().__init__(**self._without_literal_secrets(fields))
        except ValidationError as error:
            secret = frozenset(self.secret_fields)
            raise self._invalid(fields, explained(type(self), error, hide_values=True, secret=secret)) from None

    @classmethod
    def _invalid(cls, fields: Mapping[str, Any], error: ValidationError) -> ValueError:
        wrong = {str(one["loc"][0]) for one in error.errors(include_url=False) if one["loc"]}
        values = [(name, fields.get(name)) for name in wrong]
        from_variables = any(settings.is_from_variable(cls, name, value) for name, value in values)
        return InvalidSettings(settings.problems(error), owner=cls.__name__) if from_variables else error

    @classmethod
    def _without_literal_secrets(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: settings.secret_as_variable(cls, name, value) if name in cls.secret_fields else value
            for name, value in fields.items()
        }

    @classmethod
    def configure_at_launch(cls, **fields: Any) -> Any:
        """Like Dagster's own method, but keeps literal secrets out of what Dagster stores."""
        return super().configure_at_launch(**cls._without_literal_secrets(fields))

    @field_validator("*", mode="wrap")
    @classmethod
    def _literal_or_variable(cls, value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        is_secret = name in cls.secret_fields
        return settings.validated(cls, name, cls.model_fields[name], value, validate, is_secret=is_secret)

    if not TYPE_CHECKING:  # with this method, mypy would accept any attribute

        def __getattribute__(self, name: str) -> Any:
            """Returns the value of a setting, and reads its environment variable if Dagster has not done so."""
            value = super().__getattribute__(name)
            if name == "__doc__":  # Dagster shows it as the description of the resource
                return plain_description(value)
            if not settings.is_variable(value) or name in type(self).secret_fields:
                return value
            return self._read_variables()[name]

    def _read_variables(self) -> dict[str, Any]:
        """Returns all settings, validated, with the values of variables that Dagster has not read."""
        if self._resolved is None:
            fields = {name: value for name, value in self if value is not None}
            variables = [name for name, value in fields.items() if settings.is_variable(value)]
            to_read = {name: {"env": fields[name].env_var_name} for name in variables if name not in self.secret_fields}
            try:
                self._resolved = dict(type(self)(**{**fields, **to_read})) if to_read else fields
            except ValueError as error:
                detail = error.detail if isinstance(error, InvalidSettings) else settings.problems(error)
                raise self._unusable(detail) from None
        return self._resolved

    def _unusable(self, detail: str) -> InvalidRequestError:
        hint = "Correct the resource's settings."
        return InvalidRequestError(f"{type(self).__name__}: {detail}", vendor=self.vendor, hint=hint)

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if not self.oauth_fields:
            return self
        *first, last = self.oauth_fields
        client = f"{', '.join(first)} and {last}"
        # Attribute access would already read the variables.
        given = [self.__dict__[name] is not None for name in self.oauth_fields]
        has_token = self.__dict__.get("access_token") is not None
        if not has_token and not all(given):
            raise ValueError(f"{type(self).__name__} needs access_token, or {client}")
        if has_token and any(given):
            raise ValueError(f"{type(self).__name__} takes access_token, or {client}, but not both")
        return self

    def secret(self, name: str) -> str | None:
        """Returns the value of a secret field; ``None`` if it was left out.

        Raises:
            InvalidRequestError: The field is an environment variable that is not set or is empty.
        """
        value: str | None = getattr(self, name)
        if not settings.is_variable(value):
            return value
        try:
            return settings.read(value)
        except ValueError as error:
            raise self._unusable(f"{name}: {error}") from None
