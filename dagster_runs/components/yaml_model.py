"""The base class of the models that YAML is validated against, and fields that are derived from other classes.

`dg check yaml` validates a file only against the JSON schema of a model, so the schema has to be precise: without
alternatives, except a number that may also be a template, because a validator reports only that none of several
alternatives matches. `dg check defs` validates with the models themselves, whose messages also say what to write.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

import dagster as dg
import docstring_parser
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictBool,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails
from typing_extensions import Self

from dagster_runs.components.templates import has_template
from dagster_runs.dagster_private import CheckError
from dagster_runs.remote_run.field_errors import no_such_field

_HIDDEN = "..."
"""Shown in place of the values in YAML, which may contain secrets."""


def _number(value: Any) -> Any:
    # Python's booleans are numbers, and each alternative of a union would have an error of its own.
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("this must be a number")  # noqa: TRY004 - pydantic catches only these
    return value


def _whole_number(value: Any) -> Any:
    is_fraction = isinstance(value, float) and not value.is_integer()
    if is_fraction or isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("this must be a whole number")
    return value


Number = Annotated[
    float | str, BeforeValidator(_number), WithJsonSchema({"type": ["number", "string"], "examples": [1.0]})
]
"""A number, or a template."""
WholeNumber = Annotated[
    int | str, BeforeValidator(_whole_number), WithJsonSchema({"type": ["integer", "string"], "examples": [1]})
]
"""A whole number, or a template."""
AnyObject = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": True})]
"""Any keys and values."""


class YamlModel(BaseModel):
    """A part of a YAML file. Its errors name the field and what to write instead, and contain no values.

    Attributes:
        unavailable: Fields that exist for other kinds of runs, and why they do not for this one.
    """

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        protected_namespaces=(),  # pydantic before 2.10 warns about fields such as `model_refs`
    )

    unavailable: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="wrap")
    @classmethod
    def _explain_errors(cls, value: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            model = validate(value)
            given = model.given
            if not has_template(given):
                cls.check(given)
        except ValidationError as error:
            raise _with_advice(cls, error) from None
        except (dg.DagsterError, CheckError, ValueError) as error:
            message = str(error)
            # The message about one field begins with its name.
            field = re.match(r"\w*", message)
            location = (field.group(),) if field and field.group() in given else ()
            details = InitErrorDetails(
                type="value_error", loc=location, input=_HIDDEN, ctx={"error": ValueError(message)}
            )
            raise ValidationError.from_exception_data(cls.__name__, [details], hide_input=True) from None
        return model

    @property
    def given(self) -> dict[str, Any]:
        """The fields that the YAML sets."""
        return self.model_dump(exclude_unset=True, mode="json")

    @classmethod
    def check(cls, given: dict[str, Any]) -> None:
        """Applies the rules that concern several fields. Not called if a value is a template.

        Raises:
            ValueError: A rule is broken.
            dagster.DagsterError: The same, if the rule is Dagster's.
        """


def _with_advice(model: type[YamlModel], error: ValidationError) -> ValidationError:
    details = [_explained(model, one) for one in error.errors(include_url=False)]
    return ValidationError.from_exception_data(model.__name__, details, hide_input=True)


def _explained(model: type[YamlModel], error: Mapping[str, Any]) -> InitErrorDetails:
    location, kind = tuple(error["loc"]), error["type"]
    name = str(location[-1]) if location else ""
    message = None
    if len(location) == 1 and kind == "extra_forbidden":
        reason = model.unavailable.get(name)
        message = f"{name} is not available here: {reason}" if reason else no_such_field(name, model.model_fields)
    elif len(location) == 1 and kind == "missing":
        message = f"{name} is missing. {model.model_fields[name].description or ''}".rstrip()
    elif kind == "string_type":
        message = 'this must be a string; write it in quotes: "..."'
    elif kind == "bool_type":
        message = "this must be true or false, without quotes"
    elif kind in ("model_type", "dict_type", "model_attributes_type"):
        message = "this must be a mapping with one `name: value` per line"
    elif kind == "list_type":
        message = "this must be a list, with each item on a line that starts with `- `"
    elif kind == "literal_error":
        choices = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        similar = get_close_matches(str(error["input"]), choices, n=1)
        message = f"this must be {error['ctx']['expected']}" + (f"; did you mean {similar[0]!r}?" if similar else "")
    if message is None:
        return InitErrorDetails(type=kind, loc=location, input=_HIDDEN, ctx=error.get("ctx", {}))
    return InitErrorDetails(type="value_error", loc=location, input=_HIDDEN, ctx={"error": ValueError(message)})


@cache
def descriptions(documented: Any) -> dict[str, str]:
    """Returns the descriptions of the arguments of a function or class, those of its base classes included."""
    found: dict[str, str] = {}
    for one in reversed(getattr(documented, "__mro__", [documented])):
        parsed = docstring_parser.parse(one.__doc__ or "")
        found.update({param.arg_name: _plain(param.description or "") for param in parsed.params})
    return found


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


Fields = dict[str, tuple[Any, Any]]
"""The fields of a model, as `pydantic.create_model` takes them: for each name, a type and a `Field`."""


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def fields_of(model: type[BaseModel], *, without: Iterable[str] = ()) -> Fields:
    """Returns the fields of a model as fields of YAML: with the same names and descriptions, and simple types.

    The rules of the model itself are not repeated. They are applied to the values after templates are resolved.
    """
    schema, described = _schema(model), descriptions(model)
    left_out, required = set(without), set(schema.get("required", ()))
    return {
        name: field_of(
            _yaml_type(field, schema.get("$defs", {})),
            description=described.get(name) or field.get("description"),
            is_required=name in required,
        )
        for name, field in schema["properties"].items()
        if name not in left_out
    }


def field_of(type_: Any, *, description: str | None, is_required: bool = False, example: Any = None) -> tuple[Any, Any]:
    """Returns one field of YAML."""
    # The default is not a valid value, because an optional type would be a choice between it and null in the schema.
    default = ... if is_required else None
    examples = None if example is None else [example]
    return type_, Field(default, description=description, examples=examples, json_schema_extra=_without_null_default)


def _without_null_default(schema: dict[str, Any]) -> None:
    if schema.get("default", ...) is None:
        del schema["default"]
    if "enum" in schema and "examples" not in schema:
        schema["examples"] = [schema["enum"][0]]


def _yaml_type(schema: Mapping[str, Any], others: Mapping[str, Any]) -> Any:
    """Returns the type of a field of YAML for the JSON schema of a field, which may refer to other schemas."""
    if "$ref" in schema:
        return _yaml_type(others[schema["$ref"].rpartition("/")[2]], others)
    choices = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(choices) == 1:
        return _yaml_type(choices[0], others)
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    if "const" in schema:
        return Literal[schema["const"]]
    simple = {"boolean": StrictBool, "integer": WholeNumber, "number": Number, "string": str, "object": AnyObject}
    if schema.get("type") == "array":
        return list[_yaml_type(schema.get("items", {}), others)]  # type: ignore[misc]
    return simple.get(str(schema.get("type")), Any)


_SWITCH = "this must be true, false, or a mapping with one `name: value` per line"


class Switch(YamlModel):
    """A part of YAML that is ``true``, ``false``, or a mapping with options."""

    enabled: StrictBool = Field(
        default=True, description="Whether it is on. `false` in place of the options is the same."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_boolean(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return {"enabled": value}
        if not isinstance(value, (Mapping, cls)):
            raise ValueError(_SWITCH)  # noqa: TRY004 - pydantic catches only these
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allows booleans without an alternative, so that errors in the options stay precise."""
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        return {**handler.resolve_ref_schema(schema), "type": ["boolean", "object"], "examples": [True]}
