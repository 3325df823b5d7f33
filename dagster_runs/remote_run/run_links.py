"""The link to the vendor's page of a run, from a template that the user sets."""

import re
from string import Formatter
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator

if TYPE_CHECKING:
    from dagster_runs.remote_run.contract import RemoteRun

PLACEHOLDERS = ("run_id", "target", "kind")
"""The run's id at the vendor; the id of what is run; and the kind of run, such as ``profiles-run``."""


_PARENT = frozenset({".", ".."})


def _checked(template: str) -> str:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"the braces do not match ({error}); write a brace that is not a placeholder twice") from None
    for _, name, spec, conversion in parts:
        if name is not None and (name not in PLACEHOLDERS or spec or conversion):
            shown = f"{{{name}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}}}"
            raise ValueError(f"there is no placeholder {shown}; the placeholders are {_listed()}")
    try:
        url = urlsplit(_filled(template, dict.fromkeys(PLACEHOLDERS, "a")))
        is_page = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # an invalid port or IPv6 address
        is_page = False
    if not is_page or " " in template.strip() or not template.strip().isprintable():
        raise ValueError("this is not the address of a page; write https://, a host and a path")
    if url.username is not None or url.password is not None:
        raise ValueError("it contains credentials, and everyone who can see an asset can see its links. Remove them")
    if any(placeholder in urlsplit(template).netloc for placeholder in "{}"):
        raise ValueError("a placeholder is in the host, which would depend on ids. Write it after the host")
    return template.strip()


def _listed() -> str:
    *first, last = (f"{{{name}}}" for name in PLACEHOLDERS)
    return f"{', '.join(first)} and {last}"


def _filled(template: str, values: dict[str, str]) -> str:
    return template.format_map({name: quote(value, safe="") for name, value in values.items()})


RunUrlTemplate = Annotated[str, AfterValidator(_checked)]
"""The address of the page of a run, with placeholders."""


def run_link(template: str, run: "RemoteRun[Any]", run_id: str) -> str | None:
    """Returns the address of the page of a run. What replaces a placeholder is percent-encoded.

    ``None`` if an id is ``.`` or ``..``, with which a browser opens another page, also if it is percent-encoded.

    Args:
        template: The template.
        run: The run.
        run_id: The vendor's id of the run.
    """
    kind = re.sub(r"[^a-z0-9]+", "-", run.label.casefold()).strip("-")
    values = {"run_id": run_id, "target": run.target, "kind": kind}
    return None if _PARENT.intersection(values.values()) else _filled(template, values)
