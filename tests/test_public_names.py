"""Public names, the cost of importing them, and the allowed imports between folders."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import dagster_runs

PACKAGE = Path(dagster_runs.__file__).parent
NAMES = {
    "AmperityComponent",
    "ProphecyComponent",
    "RudderStackComponent",
    "SegmentflowComponent",
    "TestGenComponent",
    "RudderStackResource",
    "RudderStackProfilesRun",
    "RudderStackRETLSyncRun",
    "TestGenResource",
    "TestGenProfilingRun",
    "TestGenTestGenerationRun",
    "TestGenTestRun",
    "build_remote_run_asset",
    "QualityGate",
    "RemoteRunResource",
    "RemoteRun",
    "VendorError",
    "AuthenticationError",
    "PermissionDeniedError",
    "NotFoundError",
    "ConflictError",
    "InvalidRequestError",
    "RateLimitedError",
    "ServerError",
    "ConnectionFailedError",
    "UnexpectedResponseError",
    "StartOutcomeUnknown",
    "RunFailed",
    "RunCanceled",
    "RunTimedOut",
    "AmperityResource",
    "AmperityWorkflowRun",
    "ProphecyResource",
    "ProphecyPipelineRun",
    "SegmentflowResource",
    "SegmentflowJourneyRun",
    "build_cancel_job",
    "build_check_failure_sensor",
    "build_completion_sensor",
    "build_observation_sensor",
    "FinishedRun",
    "FailedCheck",
    "ObservedAsset",
    "SuiteTable",
    "SuiteTest",
    "TableChecks",
    "TableKeys",
    "build_testgen_checks",
    "build_testgen_profile",
    "run_config_for",
}
HTTP = {"requests", "urllib3", "tenacity", "aiohttp", "httpx"}
VENDORS = sorted(folder.name for folder in (PACKAGE / "vendors").iterdir() if (folder / "__init__.py").exists())


@pytest.mark.parametrize("name", sorted(NAMES))
def test_public_names_can_be_imported(name: str) -> None:
    assert getattr(dagster_runs, name).__name__ == name
    assert name in dir(dagster_runs)


def test_public_names_have_docstrings() -> None:
    assert [name for name in NAMES if not (getattr(dagster_runs, name).__doc__ or "").strip()] == []


def test_run_errors_are_vendor_errors_and_dagster_failures() -> None:
    import dagster as dg

    for name in ("StartOutcomeUnknown", "RunFailed", "RunCanceled", "RunTimedOut"):
        assert issubclass(getattr(dagster_runs, name), (dagster_runs.VendorError, dg.Failure))


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchName"):
        getattr(dagster_runs, "NoSuchName")  # noqa: B009 - that is what `from dagster_runs import NoSuchName` does


def classes_named_test() -> Iterator[type]:
    from importlib import import_module

    seen: set[type] = set()
    modules = ["dagster_runs", "dagster_runs.testing", *(f"dagster_runs.vendors.{vendor}" for vendor in VENDORS)]
    modules += [f"dagster_runs.vendors.testgen.{name}" for name in ("models", "runs", "resource")]
    for module in map(import_module, modules):
        for name in dir(module):
            thing = getattr(module, name)
            if isinstance(thing, type) and name.startswith("Test") and thing not in seen:
                seen.add(thing)
                yield thing


def test_pytest_does_not_collect_package_classes_named_test() -> None:
    found = list(classes_named_test())
    assert len(found) >= 6
    assert [thing.__name__ for thing in found if getattr(thing, "__test__", True)] == []


@cache
def in_a_fresh_process(code: str) -> list[set[str]]:
    """Runs code in a new process, and returns the words of each line that it prints."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [set(line.split()) for line in run.stdout.splitlines()]


PRINT_MODULES = "print(*(name for name in sys.modules if '.' not in name))"
STAR_IMPORT = f"""
import sys
before = set(dir())
from dagster_runs import *
after = set(dir())
{PRINT_MODULES}
print(*(after - before))
RudderStackProfilesRun(profiles_id="x")
{PRINT_MODULES}
"""


@pytest.mark.parametrize(
    "code",
    [
        f"import sys\nimport dagster_runs\n{PRINT_MODULES}",
        STAR_IMPORT,
        f"import sys\nimport dagster_runs as d\ndir(d)\n{PRINT_MODULES}",
    ],
    ids=["import dagster_runs", "from dagster_runs import *", "import dagster_runs as d; dir(d)"],
)
def test_importing_the_package_loads_no_http_library(code: str) -> None:
    loaded = in_a_fresh_process(code)[0]
    assert "dagster_runs" in loaded
    assert loaded & HTTP == set()


@pytest.mark.fixes("6.14")
def test_star_import_exports_the_public_names() -> None:
    brought = in_a_fresh_process(STAR_IMPORT)[1]
    assert brought >= NAMES
    assert brought - {"before"} == set(dagster_runs.__all__)


def test_all_lazy_imports_and_type_imports_list_the_same_names() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    [typed] = [node for node in tree.body if isinstance(node, ast.If)]
    for_types = [alias.name for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    lazy = [name for names in dagster_runs._HOMES.values() for name in names]
    assert sorted(dagster_runs.__all__) == sorted(for_types) == sorted(lazy)


@pytest.mark.fixes("6.14")
def test_importing_the_package_loads_no_other_modules() -> None:
    [loaded] = in_a_fresh_process("import sys\nimport dagster_runs\ndagster_runs.__all__\nprint(*sys.modules)")
    assert {name for name in loaded if name.startswith("dagster_runs")} == {"dagster_runs", "dagster_runs.version"}
    assert "dagster" not in loaded


def test_using_the_classes_loads_no_http_library() -> None:
    _, brought, loaded = in_a_fresh_process(STAR_IMPORT)
    assert brought >= NAMES
    assert loaded & HTTP == set()


# The folders and modules that each one may import, apart from itself and `version`.
ALLOWED_IMPORTS = {
    "transport": set[str](),
    "remote_run": {"transport", "dagster_private"},
    "vendors": {"transport", "remote_run"},
    "sandbox": set[str](),
    "dagster_private": set[str](),
    "sensors": {"transport", "remote_run", "dagster_private"},
    "asset_arguments": {"remote_run", "dagster_private"},
    "assets": {"remote_run", "sensors", "launchpad", "asset_arguments"},
    "components": {
        "remote_run",
        "sensors",
        "asset_arguments",
        "assets",
        "jobs",
        "table_checks",
        "vendors",
        "transport",
        "dagster_private",
    },
    "jobs": {"remote_run", "sensors"},
    "launchpad": {"remote_run", "sensors"},
    "table_checks": {"transport", "remote_run", "sensors", "launchpad", "dagster_private", "vendors"},
    "vendor_sdk": {"transport", "remote_run"},
    "testing": {"transport", "remote_run", "vendors", "sandbox", "sensors", "assets"},
    "cli": {"transport", "remote_run", "vendors", "sensors", "dagster_private"},
    "pytest_plugin": {"testing", "sandbox", "remote_run"},
}


@cache
def parsed(source: Path) -> ast.Module:
    return ast.parse(source.read_text())


def imports(source: Path) -> Iterator[str]:
    """Yields the modules that a file imports anywhere, including imports for type checkers only."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source} imports relatively"
            yield str(node.module)
            if node.module == "dagster_runs":
                yield from (f"dagster_runs.{name.name}" for name in node.names)


def sources(room: str) -> list[Path]:
    folder = PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]


@pytest.mark.parametrize("room", ALLOWED_IMPORTS)
def test_imports_follow_the_layers(room: str) -> None:
    allowed = {room, "version", *ALLOWED_IMPORTS[room]}
    wrong = [
        f"{source.relative_to(PACKAGE)}: {module}"
        for source in sources(room)
        for module in imports(source)
        if module.startswith("dagster_runs.") and module.split(".")[1] not in allowed
    ]
    assert wrong == []


def modules_imported_at_run_time(source: Path) -> Iterator[str]:
    """Yields the modules of the package that a file imports, except imports for type checkers only."""
    tree = parsed(source)
    for_types = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for child in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in for_types or not isinstance(node, ast.ImportFrom):
            continue
        for name in node.names:
            found = PACKAGE.parent / f"{node.module}.{name.name}".replace(".", "/")
            is_module = found.is_dir() or found.with_suffix(".py").exists()
            yield f"{node.module}.{name.name}" if is_module else str(node.module)


def test_imports_have_no_cycles() -> None:
    graph: dict[str, set[str]] = {}
    for source in PACKAGE.rglob("*.py"):
        module = ".".join(source.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        imported = {name for name in modules_imported_at_run_time(source) if name.startswith("dagster_runs")}
        graph[module] = imported - {module, "dagster_runs"}
    TopologicalSorter(graph).prepare()  # raises `CycleError`


def test_remote_run_does_not_import_execution_outside_the_resource() -> None:
    # Only `RemoteRunResource.run` and `check_specs` may use the execution.
    execution = "dagster_runs.remote_run.execution"
    for source in (PACKAGE / "remote_run").glob("*.py"):
        found = [name for name in modules_imported_at_run_time(source) if name.startswith(execution)]
        assert found == [] or source.name == "resource.py", source.name


@pytest.mark.parametrize("vendor", VENDORS)
def test_vendors_do_not_import_each_other(vendor: str) -> None:
    others = tuple(f"dagster_runs.vendors.{other}" for other in VENDORS if other != vendor)
    for source in (PACKAGE / "vendors" / vendor).rglob("*.py"):
        assert [module for module in imports(source) if module.startswith(others)] == []


@pytest.mark.parametrize("room", ["transport", "sandbox"])
def test_transport_and_sandbox_do_not_import_dagster(room: str) -> None:
    for source in sources(room):
        assert [module for module in imports(source) if module.split(".")[0] == "dagster"] == []


@pytest.mark.parametrize("room", [room for room in ALLOWED_IMPORTS if room not in ("transport", "sandbox")])
def test_only_transport_imports_http_libraries(room: str) -> None:
    for source in sources(room):
        assert [module for module in imports(source) if module.split(".")[0] in HTTP] == []


@pytest.mark.parametrize("room", ["transport", "remote_run", "sensors", "assets", "jobs", "launchpad", "cli"])
def test_code_outside_vendors_never_compares_vendor_names(room: str) -> None:
    for source in sources(room):
        for node in ast.walk(parsed(source)):
            if not isinstance(node, (ast.Compare, ast.MatchValue, ast.Subscript, ast.Dict)):
                continue
            words = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            named = [word for word in words if isinstance(word, str) and word.lower() in VENDORS]
            assert named == [], f"{source.name}:{getattr(node, 'lineno', '?')}"


def test_import_rules_cover_every_module() -> None:
    top = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert top - set(ALLOWED_IMPORTS) <= {"__init__", "version"}
