"""Refuses a resource class of a vendor whose attributes are invalid, when it is defined."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from dagster_runs.remote_run.resource_settings import ResourceSettings


def check_resource_class(resource_class: "type[ResourceSettings]") -> None:
    """Refuses a resource class that would show a secret, or that lacks its vendor.

    Raises:
        DagsterInvalidDefinitionError: The message says which attribute is invalid, and what to do.
    """
    fields = resource_class.model_fields
    for attribute in ("secret_fields", "oauth_fields"):
        names: Any = getattr(resource_class, attribute)
        if isinstance(names, str):
            raise _refused(resource_class, f'{attribute} is a string. Use a tuple: {attribute} = ("{names}",)')
        if not isinstance(names, Sequence) or not all(isinstance(one, str) for one in names):
            raise _refused(resource_class, f"{attribute} is {names!r}. It must be a tuple of strings")
        unknown = [one for one in names if one not in fields]
        if unknown:
            raise _refused(
                resource_class, f"{attribute} names {', '.join(unknown)}; its fields are {', '.join(sorted(fields))}"
            )
    vendor: Any = getattr(resource_class, "vendor", None)
    if not inspect.isabstract(resource_class) and not (isinstance(vendor, str) and vendor.strip()):
        raise _refused(resource_class, "It has no vendor. Set it to the vendor's display name")


def _refused(resource_class: type, why: str) -> dg.DagsterInvalidDefinitionError:
    return dg.DagsterInvalidDefinitionError(f"{resource_class.__name__} is not a valid resource of a vendor. {why}.")
