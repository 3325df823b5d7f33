"""Refuses a kind of run that breaks the contract, when its class is defined.

Pydantic and Python would accept most of these mistakes, or refuse them in words that say nothing about the contract.
"""

import inspect
import math
from collections.abc import Mapping, Set
from functools import cached_property, partialmethod
from types import FunctionType
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import BaseModel

from dagster_runs.remote_run.data_checks import checks_problem
from dagster_runs.remote_run.quality import QualityGate

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass

    from dagster_runs.remote_run.contract import RemoteRun
else:
    ModelMetaclass = type(BaseModel)

_NEEDED = ("vendor", "label", "resource_key")
_TEXTS = (*_NEEDED, "manual_stop_hint", "lost_start_hint")
_SETS_OF_TEXTS = ("asset_kinds", "gate_fields", "sensitive_fields", "local_fields")
_EARLIER_NAMES = {
    "can_cancel": "Delete it: a run can be canceled if its class defines cancel()",
    "has_quality_results": "Set gate_fields to the thresholds of a QualityGate that the checks judge",
    "checks_on_failure": "Use DataCheck(description, on_failure=True) in data_checks",
    "observation_unsupported_reason": "Define target_of_listed(), and observation_problem() if some runs have none",
}


_FINAL = frozenset(
    {
        "send_start",
        "get_status",
        "get_status_of_listed",
        "get_target_of_listed",
        "get_result",
        "get_progress",
        "get_started",
        "page_url",
        "defines",
        "checks_depend_on_fields",
    }
)
"""The methods that protect a run from mistakes in the vendor's code, or that its state depends on."""


class RunMeta(ModelMetaclass):
    """Refuses what pydantic would refuse in other words. `check_run_class` checks the rest of the class."""

    def __new__(  # noqa: D102 - as of every metaclass
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any
    ) -> type:
        contract = _contract_of(bases)
        if contract is not None:
            for attribute, value in namespace.items():
                _check_part(name, attribute, value, contract)
            for attribute in namespace.get("__annotations__", {}):
                if attribute not in namespace and _is_behavior(contract.get(attribute)):
                    raise _hidden(name, attribute)
        if namespace.get("sensitive_fields"):
            options["hide_input_in_errors"] = True  # also in the errors of the class's own validators
        return super().__new__(cls, name, bases, namespace, **options)


def _contract_of(bases: tuple[type, ...]) -> Mapping[str, Any] | None:
    """Returns the attributes of `RemoteRun` itself, if it is among the bases."""
    for base in bases:
        for one in base.__mro__:
            if (one.__module__, one.__qualname__) == ("dagster_runs.remote_run.contract", "RemoteRun"):
                return vars(one)
    return None


def check_run_class(run_class: "type[RemoteRun[Any]]") -> None:
    """Refuses a kind of run whose parts do not fit the contract or each other, wherever they are defined.

    Raises:
        DagsterInvalidDefinitionError: They do not. The message says which, and what to do.
    """
    name, contract = run_class.__name__, _contract_of((run_class,)) or {}
    class_attributes = {one for one in contract.get("__annotations__", {}) if not one.startswith("_")}
    for attribute in sorted(class_attributes & run_class.model_fields.keys()):
        raise _refused(
            name,
            f"{attribute} is annotated as a field of the run. It is an attribute of the class: annotate it with "
            "ClassVar, or leave out the annotation",
        )
    for attribute in contract:
        if attribute in run_class.model_fields and _is_behavior(contract[attribute]):
            raise _hidden(name, attribute)
        _check_part(name, attribute, inspect.getattr_static(run_class, attribute), contract)
    _check_values(name, run_class)
    if inspect.isabstract(run_class):
        return
    missing = [one for one in _NEEDED if not getattr(run_class, one, "").strip()]
    if missing:
        each = "it to a string" if len(missing) == 1 else "each to a string"
        raise _refused(name, f"It has no {', '.join(missing)}. Set {each}")
    _check_named_fields(name, run_class)
    if run_class.defines("status_of_listed") and not run_class.recognizes_listed_runs():
        raise _refused(
            name, "It has status_of_listed(), but no target_of_listed(), so no listed run could be matched to an asset"
        )


def _check_part(owner: str, name: str, value: Any, contract: Mapping[str, Any]) -> None:
    """Refuses an attribute that replaces a part of the contract by something of another kind."""
    if name in _EARLIER_NAMES and not _is_method(value) and not isinstance(value, property):
        raise _refused(owner, f"{name} is not an attribute of a RemoteRun. {_EARLIER_NAMES[name]}")
    expected = contract.get(name)
    if name.startswith("_") or name not in contract or value is expected or name == "model_config":
        return
    if name in _FINAL:
        raise _refused(owner, f"{name}() belongs to RemoteRun. Give your method another name")
    value = getattr(value, "wrapped", value)  # of pydantic's computed_field
    if isinstance(expected, property):
        if _is_method(value):
            raise _refused(owner, f"{name} is a property of a RemoteRun. Put @property above its definition")
        if not isinstance(value, (property, cached_property)):
            raise _refused(
                owner,
                f"{name} is {value!r}, but it is a property of a RemoteRun. Define it as one: "
                f"`@property def {name}(self): return {value!r}`",
            )
    elif isinstance(expected, (FunctionType, classmethod)):
        _check_method(owner, name, value, expected)
    elif _is_method(value) or isinstance(value, (property, cached_property)):
        hint = ". Define declared_checks() if the checks depend on the fields" if name == "data_checks" else ""
        raise _refused(owner, f"{name} is a class attribute of a RemoteRun, not a method or a property{hint}")


def _is_method(value: Any) -> bool:
    return isinstance(value, (FunctionType, classmethod, staticmethod, partialmethod)) or (
        callable(value) and hasattr(value, "__get__") and not isinstance(value, type)  # such as of lru_cache
    )


def _check_method(owner: str, name: str, value: Any, expected: Any) -> None:
    if not _is_method(value):
        raise _refused(owner, f"{name} is {value!r}, but it is a method of a RemoteRun. Define it as one")
    of_class = isinstance(expected, classmethod)
    if of_class and not isinstance(value, (classmethod, staticmethod)):
        raise _refused(owner, f"{name}() is a method of the class. Put @classmethod above its definition")
    function = value
    while (inner := _wrapped(function)) is not None:
        function = inner
    if (
        inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
        or inspect.isgeneratorfunction(function)
    ):
        raise _refused(owner, f"{name}() is asynchronous or a generator. It must be a plain function")
    original = inspect.signature(expected.__func__ if isinstance(expected, classmethod) else expected)
    _, *parameters = original.parameters.values()  # without self or cls
    try:
        # Bound to an object of any class, which is enough to leave out self.
        inspect.signature(value.__get__(object(), object)).bind(
            *(one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD),
            **{one.name: one.name for one in parameters if one.kind is one.KEYWORD_ONLY},
        )
    except TypeError:
        needed = ", ".join(
            ["cls" if of_class else "self", *str(inspect.Signature(_plain(parameters)))[1:-1].split(", ")]
        )
        raise _refused(owner, f"{name}() has other arguments. They are ({needed.rstrip(', ')})") from None


def _wrapped(function: Any) -> Any:
    """Returns the function in a descriptor. A decorator may make a plain function of an asynchronous one."""
    return function.func if isinstance(function, partialmethod) else getattr(function, "__func__", None)


def _plain(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """Returns the parameters without annotations and defaults."""
    return [inspect.Parameter(one.name, one.kind) for one in parameters]


def _is_behavior(part: Any) -> bool:
    return isinstance(part, (property, FunctionType, classmethod))


def _hidden(owner: str, name: str) -> dg.DagsterInvalidDefinitionError:
    return _refused(
        owner, f"The field {name} would hide a part of RemoteRun. Give the field another name, and define {name}"
    )


def _check_values(owner: str, run_class: "type[RemoteRun[Any]]") -> None:
    """Refuses class attributes of a wrong type."""
    for attribute in _TEXTS:
        value = getattr(run_class, attribute, "")
        if not isinstance(value, str):
            raise _refused(owner, f"{attribute} is {value!r}. It must be a string")
    for attribute in _SETS_OF_TEXTS:
        value = getattr(run_class, attribute)
        if isinstance(value, str):
            raise _refused(owner, f'{attribute} is a string. Use a set: {attribute} = frozenset({{"{value}"}})')
        if not isinstance(value, Set) or not all(isinstance(one, str) for one in value):
            raise _refused(owner, f"{attribute} is {value!r}. It must be a set of strings")
    problem = checks_problem("data_checks", run_class.data_checks)
    if problem:
        raise _refused(owner, problem)
    seconds: Any = run_class.default_timeout
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not math.isfinite(seconds) or seconds <= 0:
        raise _refused(owner, f"default_timeout is {seconds!r}. It must be a positive number of seconds")
    window: Any = run_class.partition_window_fields
    if window is not None and (
        not isinstance(window, tuple)
        or len(set(window)) != 2
        or len(window) != 2
        or not all(isinstance(one, str) for one in window)
    ):
        raise _refused(
            owner, f"partition_window_fields is {window!r}. It must be the names of two fields, for start and end"
        )


def _check_named_fields(owner: str, run_class: "type[RemoteRun[Any]]") -> None:
    """Refuses names of fields and of thresholds that do not exist."""
    thresholds = sorted(QualityGate.model_fields.keys() - {"blocking"})
    for attribute, known, what in (
        ("partition_window_fields", run_class.model_fields, "its fields are"),
        ("sensitive_fields", run_class.model_fields, "its fields are"),
        ("local_fields", run_class.model_fields, "its fields are"),
        ("gate_fields", thresholds, "the thresholds of a QualityGate are"),
    ):
        unknown = sorted(one for one in getattr(run_class, attribute) or () if one not in known)
        if unknown:
            raise _refused(owner, f"{attribute} names {', '.join(unknown)}; {what} {', '.join(known) or '(none)'}")


def _refused(owner: str, why: str) -> dg.DagsterInvalidDefinitionError:
    return dg.DagsterInvalidDefinitionError(f"{owner} is not a valid kind of run. {why}.")
