"""Protects a run from mistakes in the code of its vendor: at the definition of the class, and when it is called."""

import inspect
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from types import FunctionType
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import BaseModel

from dagster_runs.transport.errors import UnexpectedResponseError, VendorError

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass

    from dagster_runs.remote_run.contract import RemoteRun
else:
    ModelMetaclass = type(BaseModel)

_CHECK_NAME = re.compile("[A-Za-z0-9_]+")
_NEEDED = ("vendor", "label", "resource_key")
_EARLIER_NAMES = {
    "can_cancel": "Delete it: a run can be canceled if its class defines cancel()",
    "has_quality_results": "Set gate_fields to the thresholds of a QualityGate that the checks judge",
    "checks_on_failure": "Use DataCheck(description, on_failure=True) in data_checks",
    "observation_unsupported_reason": "Define target_of_listed(), and observation_problem() if some runs have none",
}


class RunMeta(ModelMetaclass):
    """Refuses a subclass of `RemoteRun` that overrides a method or a property with something else.

    Pydantic and Python would accept it, or refuse it in words that say nothing about the contract.
    """

    def __new__(  # noqa: D102 - as of every metaclass
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any
    ) -> type:
        contract = next((one for base in bases for one in base.__mro__ if one.__name__ == "RemoteRun"), None)
        if contract is not None:
            for attribute, value in namespace.items():
                _check_attribute(name, attribute, value, vars(contract))
            for attribute in namespace.get("__annotations__", {}):
                _check_field(name, attribute, namespace, vars(contract))
        return super().__new__(cls, name, bases, namespace, **options)


def _check_attribute(owner: str, name: str, value: Any, contract: Mapping[str, Any]) -> None:
    if name in _EARLIER_NAMES and not isinstance(value, (FunctionType, classmethod, property)):
        raise _refused(owner, f"{name} is not an attribute of a RemoteRun. {_EARLIER_NAMES[name]}")
    if name.startswith("__") or name not in contract or name == "model_config":
        return
    expected, is_method = contract[name], isinstance(value, (FunctionType, classmethod, staticmethod))
    if isinstance(expected, property):
        if is_method:
            raise _refused(owner, f"{name} is a property of a RemoteRun. Put @property above its definition")
        if not isinstance(value, (property, cached_property)):
            raise _refused(
                owner,
                f"{name} is {value!r}, but it is a property of a RemoteRun. Define it as one: "
                f"`@property def {name}(self): return {value!r}`",
            )
    elif isinstance(expected, FunctionType):
        if not is_method:
            raise _refused(owner, f"{name} is {value!r}, but it is a method of a RemoteRun. Define it as one")
        _check_method(owner, name, value, expected)
    elif is_method or isinstance(value, property):
        hint = "Define declared_checks() if the checks depend on the fields" if name == "data_checks" else ""
        raise _refused(owner, f"{name} is a class attribute of a RemoteRun, not a method or a property. {hint}".strip())


def _check_method(owner: str, name: str, value: Any, expected: FunctionType) -> None:
    if not isinstance(value, FunctionType):
        return
    if (
        inspect.iscoroutinefunction(value)
        or inspect.isasyncgenfunction(value)
        or (inspect.isgeneratorfunction(value) and not inspect.isgeneratorfunction(expected))
    ):
        raise _refused(owner, f"{name}() is asynchronous or a generator. It must be a plain function")
    arguments = list(inspect.signature(expected).parameters)
    try:
        inspect.signature(value).bind(*arguments)
    except TypeError:
        raise _refused(owner, f"{name}() has other arguments. They are ({', '.join(arguments)})") from None


def _check_field(owner: str, name: str, namespace: Mapping[str, Any], contract: Mapping[str, Any]) -> None:
    if name not in namespace and isinstance(contract.get(name), (property, FunctionType)):
        raise _refused(
            owner, f"The field {name} would hide a part of RemoteRun. Give the field another name, and define {name}"
        )


def check_run_class(run_class: "type[RemoteRun[Any]]") -> None:
    """Refuses a kind of run whose attributes contradict each other.

    Raises:
        DagsterInvalidDefinitionError: They do. The message says which, and what to do.
    """
    if inspect.isabstract(run_class):
        return
    name = run_class.__name__
    missing = [one for one in _NEEDED if not getattr(run_class, one, None)]
    if missing:
        raise _refused(name, f"It has no {', '.join(missing)}. Set {'it' if len(missing) == 1 else 'them'} as text")
    for check in run_class.data_checks:
        if check == "run_status" or not _CHECK_NAME.fullmatch(check):
            raise _refused(
                name,
                f"data_checks has {check!r}. The name of a check has only letters, digits and underscores, and is not "
                "run_status, which every run has",
            )
    fields = run_class.model_fields
    for attribute in ("partition_window_fields", "sensitive_fields", "local_fields"):
        unknown = sorted(one for one in getattr(run_class, attribute) or () if one not in fields)
        if unknown:
            raise _refused(name, f"{attribute} names {', '.join(unknown)}; its fields are {', '.join(fields)}")
    if run_class.defines("status_of_listed") and not run_class.recognizes_listed_runs():
        raise _refused(
            name, "It has status_of_listed(), but no target_of_listed(), so no listed run could be matched to an asset"
        )


def _refused(owner: str, why: str) -> dg.DagsterInvalidDefinitionError:
    return dg.DagsterInvalidDefinitionError(f"{owner} is not a valid kind of run. {why}.")


class VendorCodeError(UnexpectedResponseError):
    """The code of a vendor raised an error of its own, or returned something that it must not return."""

    default_hint = "This is a mistake in the code of the vendor's run or resource, not in your definitions."
    is_permanent = True


@contextmanager
def vendor_code(run: "RemoteRun[Any]", method: str, *, may_have_been_accepted: bool = False) -> Iterator[None]:
    """Turns an unexpected error of a vendor's code inside the block into a `VendorError`, which every caller handles.

    Args:
        run: The run.
        method: The method that the block calls.
        may_have_been_accepted: Whether the block may have started a run.

    Raises:
        VendorCodeError: The code raised another error.
        UnexpectedResponseError: The code made a call by other means than the resource's client, and it failed.
    """
    try:
        yield
    except (VendorError, dg.Failure, dg.DagsterError):
        raise
    except Exception as error:
        # OSError includes the errors of requests and of sockets: an outage, which says nothing about the run.
        kind = UnexpectedResponseError if isinstance(error, OSError) else VendorCodeError
        raise kind(
            f"{type(run).__name__}.{method}() raised {type(error).__name__}: {error}{_place(error)}",
            vendor=run.vendor,
            may_have_been_accepted=may_have_been_accepted,
        ) from error


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/dagster_runs/remote_run/" not in frame.filename.replace("\\", "/")]
    return f" ({own[0].filename.rpartition('/')[2]}, line {own[0].lineno})" if own else ""


def checked_run_id(run: "RemoteRun[Any]", run_id: Any) -> str:
    """Returns the id that a start returned, as text.

    Raises:
        VendorCodeError: It is not an id. The run has been started.
    """
    if isinstance(run_id, int) and not isinstance(run_id, bool):
        return str(run_id)
    if isinstance(run_id, str) and run_id and run_id.isprintable():
        return run_id
    raise VendorCodeError(
        f"{type(run).__name__}.start() returned {run_id!r}; it must return the vendor's id of the run",
        vendor=run.vendor,
        may_have_been_accepted=True,
    )
