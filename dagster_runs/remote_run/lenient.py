"""Fields of vendors' answers that must not hide a run's state when they come in a shape that nobody documented."""

from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from dagster_runs.remote_run.state import UtcTime

ValueT = TypeVar("ValueT")
_LONGEST_ERROR = 20_000
"""Characters. Errors are stored with several of a run's events."""


class VendorModel(BaseModel):
    """A part of a vendor's answer: unknown fields are ignored, and every documented spelling is accepted."""

    # Built when first used: every `dg` command imports these classes, and few parse an answer.
    model_config = ConfigDict(
        extra="ignore", populate_by_name=True, frozen=True, protected_namespaces=(), defer_build=True
    )


def _or_none(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except (ValidationError, OverflowError):  # the latter from the last day of all times, in another zone
        return None


Lenient = Annotated[ValueT | None, WrapValidator(_or_none)]
"""``None`` where the value is not as documented. For what is shown, never for what decides an outcome."""


def _that_can_be_kept(run_id: str) -> str:
    # PostgreSQL takes no NUL and an address no control character, and a run is looked for by both.
    if not run_id.isprintable():
        raise ValueError("an id with characters that cannot be printed")
    return run_id


RunId = Annotated[str, Field(min_length=1), AfterValidator(_that_can_be_kept)]
"""The id that a vendor gives to a run."""


def _no_zero_time(value: Any) -> Any:
    # Go's zero time, which some servers send for "not yet".
    return None if isinstance(value, str) and value.startswith("0001-01-01") else value


OptionalTime = Annotated[Lenient[UtcTime], BeforeValidator(_no_zero_time)]
"""A time that may be absent, null, Go's zero time, or unreadable."""


def _as_text(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict):
        for name in ("message", "error", "msg", "detail"):
            if value.get(name) and isinstance(value[name], str):
                return value[name]
    return str(value) if value else None


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _LONGEST_ERROR else text[:_LONGEST_ERROR] + "…"


ErrorText = Annotated[str | None, BeforeValidator(_as_text), AfterValidator(_cut)]
"""An error message in whatever shape it comes; any error that is not empty must be seen as one."""
