"""The poll schedule for durations like those of real jobs, as the benchmark simulates them."""

import pytest

from benchmarks import poll_simulation as simulation


def test_later_runs_are_seen_in_a_fifth_of_the_time_for_fewer_calls() -> None:
    assert simulation.share_of_delay(simulation.ASSETS) <= 20
    assert simulation.share_of_calls(simulation.ASSETS) <= 75


def test_foreseeable_runs_are_seen_in_an_eighth_of_it() -> None:
    assert simulation.share_of_delay(simulation.PREDICTABLE) <= 12.5


def test_first_runs_are_seen_no_later_for_no_more_calls() -> None:
    # Polling a tenth of a second earlier or later changes these figures, hence the tolerance of two percent.
    assert simulation.share_of_delay(simulation.FIRST_RUNS) <= 102
    assert simulation.share_of_calls(simulation.FIRST_RUNS) <= 102


@pytest.mark.parametrize("asset", simulation.ASSETS, ids=lambda asset: asset.name)
def test_no_asset_costs_more_calls(asset: simulation.Asset) -> None:
    assert simulation.share_of_calls([asset]) <= 100
