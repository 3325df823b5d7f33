"""The example in docs/checks-on-your-tables.md."""

import re
from pathlib import Path
from typing import Any

import dagster as dg

PAGE = Path(__file__).parents[2] / "docs" / "checks-on-your-tables.md"


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_example_of_a_profile_loads() -> None:
    first, profile = examples()[:2]
    module: dict[str, Any] = {}
    exec(first, module)
    exec(profile, module)
    defs = dg.Definitions.merge(module["defs"], module["profile"].definitions())
    dg.Definitions.validate_loadable(defs)
    assert dg.AssetKey(["testgen", "testgen_profile_0ea85e17"]) in defs.resolve_asset_graph().get_all_asset_keys()


def test_example_loads() -> None:
    example, *_ = examples()
    module: dict[str, Any] = {}
    exec(example, module)
    defs = module["defs"]
    dg.Definitions.validate_loadable(defs)
    keys = {check.to_user_string() for check in defs.resolve_asset_graph().asset_check_keys}
    assert keys == {"stg_orders:testgen__tests", "stg_customers:testgen__tests"}
    assert dg.AssetKey(["testgen", "testgen_8a4f1c7e"]) in defs.resolve_asset_graph().get_all_asset_keys()
