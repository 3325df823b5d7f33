"""Building blocks for models of vendors' responses.

An undocumented shape of a less important field must not prevent us from reading a run's state.
"""

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
"""Characters. An error is stored in several events of a run."""


class VendorModel(BaseModel):
    """The base of models for a vendor's responses. Ignores unknown fields and accepts all documented spellings."""

    # Built on first use, because every `dg` command imports these classes, but few parse a response.
    model_config = ConfigDict(
        extra="ignore",
        populate_by_name=True,
        frozen=True,
        protected_namespaces=(),
        defer_build=True,
        hide_input_in_errors=True,
    )


def _or_none(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except (ValidationError, OverflowError):  # OverflowError: the last day of year 9999 in another time zone
        return None


Lenient = Annotated[ValueT | None, WrapValidator(_or_none)]
"""``None`` if the value is not as documented. For values that are shown, never for those that decide an outcome."""


def _printable(run_id: str) -> str:
    # PostgreSQL does not accept NUL, URLs do not accept control characters, and we look up runs with both.
    if not run_id.isprintable():
        raise ValueError("the id contains unprintable characters")
    return run_id


def _digits(value: Any) -> Any:
    # Excludes booleans, which are ints in Python. Floats are still refused: 7.0 may be the result of rounding.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


RunId = Annotated[str, Field(min_length=1), AfterValidator(_printable), BeforeValidator(_digits)]
"""The vendor's id of a run. An integer is converted to a string."""


@dataclass(frozen=True)
class Unreadable:
    """An entry of a vendor's list that does not have the documented shape.

    Attributes:
        value: The entry as the vendor sent it.
    """

    value: Any = field(repr=False)

    def read_as(self, model: type[ModelT]) -> ModelT:
        """Reads the readable fields of the entry.

        Args:
            model: A model whose fields are all `Lenient`, so that any object can be read as one.
        """
        return model.model_validate(self.value if isinstance(self.value, dict) else {})


class EachReadable(list[ValueT]):
    """The readable entries of a list in a vendor's response. An unreadable entry does not hide the others.

    Only the first unreadable entry of each kind is logged per process, because lists are read every few seconds. Code
    that draws a conclusion from the absence of an entry must use ``entries``, not the list itself.

    Attributes:
        entries: All entries in the vendor's order. Unreadable ones are instances of `Unreadable`.
    """

    def __init__(self, entries: Iterable[ValueT | Unreadable] = ()) -> None:
        self.entries = tuple(entries)
        super().__init__(entry for entry in self.entries if not isinstance(entry, Unreadable))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Returns the schema of a list. Called by pydantic."""
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
                "Skipped an entry of a vendor's list that could not be read as %s: %s. Further unreadable entries of "
                "this kind will be skipped without a log message.",
                f"{model.__module__}.{model.__qualname__}",
                _problems(error),
            )
        return Unreadable(value)
    return entry


def _problems(error: ValidationError | OverflowError) -> str:
    """Describes the problems of an entry, without the values that the vendor sent."""
    if isinstance(error, OverflowError):
        return "a time is outside the years 1 to 9999"
    found = error.errors(include_url=False, include_input=False, include_context=False)[:5]
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'][1:]) or 'the entry'}: {problem['msg']}" for problem in found
    )


def _no_zero_time(value: Any) -> Any:
    # Some servers send Go's zero time for "not yet".
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
"""An error message of any shape, converted to text. Any non-empty value counts as an error."""
