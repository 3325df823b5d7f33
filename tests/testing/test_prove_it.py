"""The section "Prove it" of docs/your-own-vendor.md, and the command line of the kit."""

import subprocess
import sys
from pathlib import Path

import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing.vendor_kit import Conclusion, Report, Row, prove_scenario, prove_vendor, scenarios
from dagster_runs.testing.vendor_kit.__main__ import main
from examples import prove_your_own_vendor
from examples.your_own_vendor import AcmeForecastRun, AcmeResource

ROOT = Path(__file__).parents[2]
EXAMPLE = Path(prove_your_own_vendor.__file__)


def failing() -> list[Report]:
    return [Report("Broken", [Row("success", Conclusion.FAILS, "0 starts", "One start.")]), prove_nothing()]


def prove_nothing() -> Report:
    return Report("Whole", [Row("success", Conclusion.HOLDS, "1 start")])


def test_page_contains_the_example_unchanged() -> None:
    assert f"```python\n{EXAMPLE.read_text()}```\n" in (ROOT / "docs" / "your-own-vendor.md").read_text()


def test_page_has_the_number_of_scenarios() -> None:
    for page in ("docs/your-own-vendor.md", "CHANGELOG.md"):
        assert f"in {len(scenarios())} scenarios" in (ROOT / page).read_text()


def test_command_prints_the_tables_and_exits_with_1_if_one_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"{__name__}:prove_nothing"]) == 0
    assert "1 start" in capsys.readouterr().out
    assert main([f"{__name__}:failing"]) == 1
    shown = capsys.readouterr()
    assert "Broken: 0 holds, 1 FAILS" in shown.out
    assert "Whole: 1 holds, 0 FAILS" in shown.out
    assert "Scenarios fail for Broken" in shown.err


@pytest.mark.parametrize("names", [[], ["json"], ["json:"], ["no_such_module:prove"], ["json:prove"]])
def test_command_explains_wrong_arguments(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(names) == 2
    shown = capsys.readouterr().err
    assert "usage" in shown or "cannot be called" in shown


def test_report_raises_with_the_rows_that_fail() -> None:
    with pytest.raises(AssertionError, match="success: FAILS: 0 starts"):
        failing()[0].check()


def test_errors_name_what_exists() -> None:
    with Sandbox(vendors=[prove_your_own_vendor.SimulatedAcme]) as sandbox:
        resource = AcmeResource(token="acme-token-1234", base_url=f"{sandbox.url}/acme")
        with pytest.raises(ValueError, match="the scenarios are success"):
            prove_scenario("sucess", AcmeForecastRun(model="demand"), resource, sandbox)
        with pytest.raises(ValueError, match="add_default_targets"):
            prove_vendor(AcmeForecastRun(model="supply"), resource, sandbox)


def test_importing_testing_does_not_load_the_kit() -> None:
    code = "import sys, dagster_runs.testing; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert "dagster_runs.testing.code_location" in loaded.split()
    assert "dagster_runs.testing.vendor_kit" not in loaded.split()
