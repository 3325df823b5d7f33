"""Subclasses of components, beside each other and beside the component itself."""

import pytest

from dagster_runs.sandbox import well_known
from tests.components.checking import on_load
from tests.components.projects import Project
from tests.components.test_table_checks import ORDERS, TABLES, checks

CLASSES = """
import dagster_runs


class OurTests(dagster_runs.TestGenComponent):
    __test__ = False


class TheirTests(dagster_runs.TestGenComponent):
    __test__ = False
"""
CLEAN = ORDERS.replace(well_known.SUITE_ORDERS, well_known.SUITE_CLEAN).replace("quality/orders", "quality/clean")


@pytest.fixture
def module(project: Project) -> str:
    """Writes two subclasses; returns their module."""
    (project.defs_folder / "ours.py").write_text(CLASSES)
    return f"{project.defs_folder.parent.name}.defs.ours"


def of_class(yaml: str, name: str) -> str:
    return yaml.replace("dagster_runs.TestGenComponent", name)


def test_subclass_and_component_have_their_own_resources(project: Project, module: str) -> None:
    project.write(of_class(ORDERS, f"{module}.OurTests"), "a")
    project.write(f"{CLEAN}---{of_class(CLEAN, f'{module}.TheirTests').replace('quality/clean', 'q/clean')}", "b")
    assert set(project.load().resources or {}) == {"testgen", "testgen_b", "testgen_b_2"}


@pytest.mark.usefixtures("in_development")
@pytest.mark.parametrize("names", [("OurTests", "OurTests"), ("OurTests", "TheirTests"), (None, "OurTests")])
def test_subclasses_do_not_search_for_each_other(project: Project, module: str, names: tuple[str | None, str]) -> None:
    (project.defs_folder / "tables.py").write_text(TABLES)
    for name, folder, yaml, tables in zip(
        names, "ab", (ORDERS, CLEAN), ("orders: stg_orders", "user_features: stg_customers"), strict=True
    ):
        own = yaml if name is None else of_class(yaml, f"{module}.{name}")
        project.write(f"{own}      checks: {{tables: {{{tables}}}}}\n  table_keys: {{by: table_name}}\n", folder)
    assert checks(project.load()) == {"stg_orders:testgen__tests", "stg_customers:testgen__tests"}


def test_one_resource_key_twice(project: Project, module: str) -> None:
    project.write(f"{ORDERS}  resource_key: quality", "a")
    project.write(f"{of_class(CLEAN, f'{module}.OurTests')}  resource_key: quality", "b")
    (answer,) = on_load(project)
    assert answer.startswith("9 resource_key: quality is also the resource key of the component at ")
    assert "/a/defs.yaml:9. Each component has its own resource, sensors and cancel job, so set" in answer
