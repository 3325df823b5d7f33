"""The poll schedule for durations like those of real jobs, as the benchmark simulates them."""

import pytest

from benchmarks import poll_simulation as simulation


def test_ends_of_later_runs_are_detected_in_a_fifth_of_the_time_with_fewer_calls() -> None:
    assert simulation.share_of_delay(simulation.ASSETS) <= 20
    assert simulation.share_of_calls(simulation.ASSETS) <= 75


def test_ends_of_predictable_runs_are_detected_in_an_eighth_of_the_time() -> None:
    assert simulation.share_of_delay(simulation.PREDICTABLE) <= 12.5


def test_ends_of_first_runs_are_detected_as_early_with_no_more_calls() -> None:
    # Polling a tenth of a second earlier or later changes these figures, so two percent are tolerated.
    assert simulation.share_of_delay(simulation.FIRST_RUNS) <= 102
    assert simulation.share_of_calls(simulation.FIRST_RUNS) <= 102


@pytest.mark.parametrize("asset", simulation.ASSETS, ids=lambda asset: asset.name)
def test_no_asset_needs_more_calls_than_fixed_polling(asset: simulation.Asset) -> None:
    assert simulation.share_of_calls([asset]) <= 100
