"""Settings of resources: literals are validated immediately, environment variables when they are read.

Dagster keeps an ``EnvVar`` in a field unchanged, and reads the variable when it initializes the resource. So a rule
such as ``gt=0`` must accept the ``EnvVar`` and be applied to its value later. `validated` does both, for every field of
every resource. Outside Dagster nothing initializes a resource, so it reads its variables when they are needed.
"""

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard

import dagster as dg
from pydantic import GetPydanticSchema, ValidationError
from pydantic.fields import FieldInfo

_INT_VARIABLE = type(dg.EnvVar.int("ANY"))

# Dagster's own type for float does not accept a variable, and those for int and bool do not distinguish an empty
# variable from an invalid one. For `Any`, Dagster passes `{"env": name}`, and `validated` reads the variable.
if TYPE_CHECKING:
    Number = float
    OptionalNumber = float | None
    WholeNumber = int
    OptionalWholeNumber = int | None
    Flag = bool
else:
    Number = Annotated[Any, GetPydanticSchema(lambda _, schema_of: schema_of(float))]
    """A number."""
    OptionalNumber = Annotated[Any, GetPydanticSchema(lambda _, schema_of: schema_of(float | None))]
    """A number or ``None``."""
    WholeNumber = Annotated[Any, GetPydanticSchema(lambda _, schema_of: schema_of(int))]
    """An integer."""
    OptionalWholeNumber = Annotated[Any, GetPydanticSchema(lambda _, schema_of: schema_of(int | None))]
    """An integer or ``None``."""
    Flag = Annotated[Any, GetPydanticSchema(lambda _, schema_of: schema_of(bool))]
    """A boolean."""

_CREDENTIALS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*:)?[/\\\\]{2}[^/?#]*@")

_variables: dict[tuple[type, str], set[str]] = {}
"""The variables that were set on a class's field in this process. Dagster passes their values without their names."""


def is_variable(value: Any) -> TypeGuard[dg.EnvVar]:
    """Whether ``value`` represents an environment variable: ``dagster.EnvVar`` or ``dagster.EnvVar.int``."""
    return isinstance(value, (dg.EnvVar, _INT_VARIABLE))


def secret_as_variable(owner: type, name: str, value: Any) -> Any:
    """Returns a literal secret as an environment variable of this process; any other value unchanged.

    Dagster writes a resource's literal values to snapshots, which the UI shows and the run storage keeps. For an
    ``EnvVar``, it writes only the name.

    Args:
        owner: The resource's class.
        name: The name of the field.
        value: The value.
    """
    if not isinstance(value, str) or isinstance(value, dg.EnvVar) or not value.strip():
        return value  # validation refuses an empty secret
    number = 1
    while os.environ.get(variable := f"DAGSTER_RUNS_{owner.__name__}_{name}_{number}".upper(), value) != value:
        number += 1
    os.environ[variable] = value
    return dg.EnvVar(variable)


def validated(
    owner: type, name: str, field: FieldInfo, value: Any, validate: Callable[[Any], Any], *, is_secret: bool
) -> Any:
    """Returns the validated value of a field, or the variable that the value is read from later.

    Args:
        owner: The resource's class.
        name: The name of the field.
        field: The field.
        value: A literal, a variable, or Dagster's ``{"env": name}``.
        validate: Applies the field's rules to a value.
        is_secret: Whether the value must not be shown.

    Raises:
        ValueError: The value breaks a rule. The message names the variable that contains the value.
    """
    if is_variable(value):
        _variables.setdefault((owner, name), set()).add(value.env_var_name)
        return value
    if isinstance(value, dict) and list(value) == ["env"]:
        variable = value["env"]
        if is_secret:
            return dg.EnvVar(variable)  # `RemoteRunResource.secret` reads it when it is needed
        value = _text_of(variable)
    else:
        variable = variable_with(owner, name, value)
    if isinstance(value, str) and not value.strip() and value != field.default:
        raise ValueError(_empty(variable) if variable else "the value is empty; set a value, or leave the setting out")
    try:
        valid = validate(value)
        if not is_secret and has_credentials(valid):
            raise ValueError(
                "it must not contain credentials, because Dagster stores and shows it with the other settings. "
                "Remove them"
            )
    except (ValidationError, ValueError) as error:
        if variable is None or is_secret:
            raise
        if has_credentials(value):
            raise ValueError(f"{problems(error)} (in the environment variable {variable})") from None
        raise ValueError(f"the environment variable {variable} contains {value!r}: {problems(error)}") from None
    return valid


def has_credentials(value: Any) -> bool:
    """Whether a value is an address with a user name or a password: ``https://user:password@example.com``."""
    return isinstance(value, str) and _CREDENTIALS.match(value) is not None


def read(variable: dg.EnvVar) -> str:
    """Returns the value of an environment variable.

    Raises:
        ValueError: The variable is not set or is empty. The message says what to do.
    """
    text = _text_of(variable.env_var_name)
    if not text.strip():
        raise ValueError(_empty(variable.env_var_name))
    return text


def problems(error: ValueError) -> str:
    """Describes the problems in one line, without pydantic's decoration and without any values."""
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors(include_url=False, include_input=False, include_context=False)
    messages = (
        ": ".join([*(str(part) for part in one["loc"][:1]), one["msg"].removeprefix("Value error, ")]) for one in found
    )
    return "; ".join(messages)


def _text_of(variable: str) -> str:
    text = os.environ.get(variable)
    if text is None:
        raise ValueError(
            f"the environment variable {variable} is not set; set it where this code runs (for Dagster, in the "
            "environment of the code location and of its runs)"
        )
    return text


def _empty(variable: str) -> str:
    return f"the environment variable {variable} is empty; set a value, or leave the setting out"


def is_from_variable(owner: type, name: str, value: Any) -> bool:
    """Whether Dagster has read a field's value from an environment variable while it initialized the resource."""
    is_named = isinstance(value, dict) and list(value) == ["env"]
    return is_named or (not is_variable(value) and variable_with(owner, name, value) is not None)


def variable_with(owner: type, name: str, value: Any) -> str | None:
    """Returns the name of the variable that a field's value comes from; ``None`` if it is unknown."""
    if is_variable(value):
        return str(value.env_var_name)
    given = _variables.get((owner, name), set())
    return next((one for one in sorted(given) if isinstance(value, str) and os.environ.get(one) == value), None)
