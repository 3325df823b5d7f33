"""Fields of vendors' answers that must not hide a run's state when they come in a shape that nobody documented."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import CoreSchema, core_schema

from dagster_runs.remote_run.state import UtcTime

logger = logging.getLogger(__name__)

ValueT = TypeVar("ValueT")
ModelT = TypeVar("ModelT", bound=BaseModel)
_MAX_ERROR = 20_000
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


def _digits(value: Any) -> Any:
    # A boolean is an integer to Python only. A float is refused: 7.0 may have been any number before it was rounded.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


RunId = Annotated[str, Field(min_length=1), AfterValidator(_that_can_be_kept), BeforeValidator(_digits)]
"""The ID that a vendor gives to a run. A whole number is its digits."""


@dataclass(frozen=True)
class Unreadable:
    """An entry of a vendor's list that does not have the documented shape.

    Attributes:
        value: The entry as the vendor sent it.
    """

    value: Any = field(repr=False)

    def read_as(self, model: type[ModelT]) -> ModelT:
        """What can be read of it.

        Args:
            model: A model whose fields are all `Lenient`, so that any object can be read as one.
        """
        return model.model_validate(self.value if isinstance(self.value, dict) else {})


class EachReadable(list[ValueT]):
    """A list in a vendor's answer: its readable entries. One that is unreadable does not hide the others.

    The first unreadable entry of each kind is logged, once in this process, since lists are read every few seconds.
    Code that concludes something from the absence of an entry has to use ``entries``, not the list itself.

    Attributes:
        entries: All entries in the vendor's order, the unreadable ones as `Unreadable`.
    """

    def __init__(self, entries: Iterable[ValueT | Unreadable] = ()) -> None:
        self.entries = tuple(entries)
        super().__init__(entry for entry in self.entries if not isinstance(entry, Unreadable))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of a list; pydantic calls this."""
        [entry] = get_args(source)

        def read(value: Any, validate: ValidatorFunctionWrapHandler) -> "EachReadable[Any]":
            try:
                return cls(validate(value))
            except (ValidationError, OverflowError):
                if not isinstance(value, list):
                    raise
            return cls(_read_entry(one, entry, validate) for one in value)

        entries = core_schema.list_schema(handler.generate_schema(entry))
        return core_schema.no_info_wrap_validator_function(read, entries)


_logged: set[type] = set()


def _read_entry(value: Any, model: type, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        [entry] = validate([value])
    except (ValidationError, OverflowError) as error:
        if model not in _logged:
            _logged.add(model)
            logger.warning(
                "An entry of a vendor's list could not be read as %s and is left out: %s. Further ones are left out "
                "without a message.",
                f"{model.__module__}.{model.__qualname__}",
                _problems(error),
            )
        return Unreadable(value)
    return entry


def _problems(error: ValidationError | OverflowError) -> str:
    """What is wrong with an entry, without what the vendor sent."""
    if isinstance(error, OverflowError):
        return "a time lies outside the years 1 to 9999"
    found = error.errors(include_url=False, include_input=False, include_context=False)[:5]
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'][1:]) or 'the entry'}: {problem['msg']}" for problem in found
    )


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
    return text if text is None or len(text) <= _MAX_ERROR else text[:_MAX_ERROR] + "…"


ErrorText = Annotated[str | None, BeforeValidator(_as_text), AfterValidator(_cut)]
"""An error message in whatever shape it comes; any error that is not empty must be seen as one."""
