"""Calls of the functions that users call, with wrong arguments."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import wraps
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


def explain_wrong_call(function: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Makes a call with wrong arguments fail with a message that explains the correct call."""
    signature = inspect.signature(function)

    @wraps(function)
    def called(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(
                f"{function.__name__}: {error}. {_hint(function.__name__, signature, args, kwargs)}"
            ) from None
        return function(*args, **kwargs)

    return called


def _hint(function: str, signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    parameters = signature.parameters
    unknown = [name for name in kwargs if name not in parameters]
    if unknown:
        found = {name: get_close_matches(name, parameters, n=1) for name in unknown}
        questions = [f"Did you mean {similar[0]} instead of {name}?" for name, similar in found.items() if similar]
        return " ".join(questions) or f"Its arguments are {', '.join(parameters)}."
    first, *others = parameters
    by_keyword = next((name for name in ("tables", "key") if name in others), others[0])
    return (
        f"Only {first} is a positional argument; pass the others by keyword: `{function}({first}, {by_keyword}=...)`."
    )
