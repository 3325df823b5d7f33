"""Loads the demo's code location, so that its errors appear in the terminal and not only in the UI."""

from __future__ import annotations

import asyncio

import dagster as dg

from dagster_runs import TestGenComponent
from demo.connections import set_variables
from demo.processes import ROOT, DemoError


def load_definitions() -> dg.Definitions:
    """Discovers what is at the server, and returns the definitions in `definitions.py`.

    Raises:
        DemoError: The code location cannot be loaded.
    """
    try:
        set_variables()
        # As `dg utils refresh-defs-state` and each load of `dagster dev` do.
        for component in dg.ComponentTree.for_project(ROOT).get_all_components(of_type=TestGenComponent):
            asyncio.run(component.refresh_state(ROOT))
        from definitions import defs
    except dg.DagsterInvalidDefinitionError as error:
        raise DemoError(str(error)) from None
    return defs
