"""Errors about the fields of runs, gates and resources: pydantic's own, in words that say what to write."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from functools import cache
from typing import Any

import dagster as dg
import docstring_parser
from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails


class InvalidSettings(dg.DagsterInvalidDefinitionError, ValueError):
    """The environment variables of a resource have values that it cannot use.

    Dagster raises it as it is. Any other error while a resource is initialized gets wrapped in one of Dagster's, which
    the UI shows first.

    Attributes:
        detail: The problems, without the name of the resource.
    """

    def __init__(self, detail: str, *, owner: str) -> None:
        self.detail = detail
        super().__init__(f"{owner}: {detail}.")


@cache
def documented_fields(model: type) -> Mapping[str, str]:
    """Returns the descriptions of the fields of a class, those of its base classes included, as plain text.

    Args:
        model: The class, whose docstring has ``Args``.
    """
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        parsed = docstring_parser.parse(inspect.cleandoc(one.__doc__ or ""))
        found.update({param.arg_name: _plain(param.description or "") for param in parsed.params})
    return found


@cache
def plain_description(docstring: str | None) -> str | None:
    """Returns what a docstring says about a class itself, as plain text for a page of the UI.

    Args:
        docstring: The docstring. The descriptions of its fields are left out.
    """
    if docstring is None:
        return None
    without_fields = re.sub(r"^Args:\n(?:(?: +.*)?\n)*(?: +.*)?", "", inspect.cleandoc(docstring), flags=re.MULTILINE)
    return "\n\n".join(_plain(part) for part in re.split(r"\n{2,}", without_fields) if part.strip())


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "").split())


def refused(model: type, field: str, message: str) -> ValidationError:
    """Returns the error for a field with a wrong value."""
    details = InitErrorDetails(type="value_error", loc=(field,), input="...", ctx={"error": ValueError(message)})
    return ValidationError.from_exception_data(model.__name__, [details], hide_input=True)


def variable_in(model: type, values: Any) -> ValidationError | None:
    """Returns the error for a field that is an environment variable, which only resources read; otherwise ``None``."""
    for name, value in values.items() if isinstance(values, Mapping) else ():
        if isinstance(value, dg.EnvVar):
            variable = value.env_var_name
            return refused(
                model,
                str(name),
                f"this is dagster.EnvVar({variable!r}), which only the settings of resources can be. Pass its value: "
                f"os.environ[{variable!r}]",
            )
    return None


def unknown_fields(model: type[BaseModel], names: Iterable[str]) -> ValidationError | None:
    """Returns the error for names that a class does not have as fields; ``None`` if there are none."""
    unknown = [name for name in names if name not in model.model_fields]
    if not unknown:
        return None
    return refused(model, unknown[0], no_such_field(unknown[0], model.model_fields))


def explained(
    model: type[BaseModel], error: ValidationError, *, hide_values: bool = False, secret: AbstractSet[str] = frozenset()
) -> ValidationError:
    """Returns an error that says what to write where pydantic's says only that a field is missing or not allowed.

    Args:
        model: The class whose fields are wrong.
        error: Pydantic's error.
        hide_values: Whether the error must not quote values, because a setting may contain a secret where none belongs.
        secret: The fields whose values must not be quoted at all, not even numbers.
    """
    found = error.errors(include_url=False)
    messages = [_advice(model, one) for one in found]
    if not any(messages) and not hide_values:
        return error
    # A field that is misspelled is also missing; the message about its name is the useful one.
    misspelled = any("did you mean" in (text or "") for text in messages)
    details: list[InitErrorDetails] = [
        _as_details(one, text, quote=secret.isdisjoint(one["loc"][:1]))
        for one, text in zip(found, messages, strict=True)
        if not (misspelled and one["type"] == "missing")
    ]
    return ValidationError.from_exception_data(model.__name__, details, hide_input=True)


def _as_details(one: Any, message: str | None, *, quote: bool) -> InitErrorDetails:
    if message is None:
        message = str(one["msg"]).removeprefix("Value error, ")
        if quote and isinstance(one["input"], (int, float)):
            message += f", not {one['input']}"
    return InitErrorDetails(type="value_error", loc=tuple(one["loc"]), input="...", ctx={"error": ValueError(message)})


def _advice(model: type[BaseModel], one: Any) -> str | None:
    location: Sequence[Any] = one["loc"]
    if len(location) != 1:
        return None
    name = str(location[0])
    field = model.model_fields.get(name)
    if one["type"] == "extra_forbidden":
        return no_such_field(name, model.model_fields)
    # Dagster sets the fields of a resource that are left out to None.
    is_missing = one["type"] == "missing" or (one["input"] is None and field is not None and field.is_required())
    if is_missing:
        return f"this field is required. {documented_fields(model).get(name, '')}".rstrip()
    if one["type"] in ("less_than_equal", "greater_than_equal") and name.endswith("_score"):
        return f"{one['input']:g} is not a score from 0 to 1; write 95 % as 0.95"
    return None


def problems_of(model: type[BaseModel], error: ValidationError) -> str:
    """Returns all problems of an error in one line, each with the path of the wrong value.

    Args:
        model: The class whose fields are wrong.
        error: The error.
    """
    found = (
        (".".join(map(str, one["loc"])) or model.__name__, one["msg"].removeprefix("Value error, "))
        for one in error.errors(include_url=False)
    )
    return "; ".join(f"{path}: {message}" for path, message in found)


def no_such_field(name: str, known: Iterable[str]) -> str:
    """Returns the message for a field that does not exist, with the field that the user probably meant."""
    names = list(known)
    similar = get_close_matches(name, names, n=1)
    return (
        f"there is no field {name!r}; did you mean {similar[0]!r}?"
        if similar
        else f"there is no field {name!r}; the fields are {', '.join(names)}"
    )
