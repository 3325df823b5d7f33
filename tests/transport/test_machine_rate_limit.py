"""The rate limit that processes on one machine share through a file."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_runs.transport import machine_rate_limit
from dagster_runs.transport.machine_rate_limit import reserve

LIMIT = 2


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"dagster_runs-{os.getuid()}"


@pytest.fixture(params=[False, True], ids=["one process", "two processes"])
def shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether each reservation is made by another process."""
    if request.param:
        pids: Iterator[int] = iter(range(1, 1000))
        monkeypatch.setattr(os, "getpid", lambda: next(pids))
    return bool(request.param)


def reserve_soon(account: str = "Acme") -> float:
    """Reserve with a window that is short enough for `_MAX_AHEAD`."""
    return reserve(account, LIMIT, 10.0)


def test_requests_within_the_limit_are_sent_at_once() -> None:
    assert [reserve_soon() for _ in range(LIMIT)] == [0, 0]


def test_further_requests_get_later_times_in_turn(shared: bool) -> None:
    window = 11 if shared else 10
    waits = [reserve_soon() for _ in range(6)]
    assert waits == pytest.approx([0, 0, window, window, 2 * window, 2 * window], abs=0.5)


def test_accounts_are_separate() -> None:
    assert [reserve_soon(account) for account in ("a", "b", "a", "b")] == [0, 0, 0, 0]


def test_reservations_before_the_window_do_not_count() -> None:
    assert reserve("Acme", 1, 0.05) == 0
    time.sleep(0.1)
    assert reserve("Acme", 1, 0.05) == 0


def test_reservation_far_in_the_future_is_ignored() -> None:
    # As if the machine's clock had been set back since.
    for _ in range(3):
        reserve("Acme", 1, 45.0)
    assert reserve("Acme", 1, 1.0) < 60


@pytest.mark.parametrize("content", [b"x", b"\xff" * 32, b"\0" * 17, b"not a number" * 100])
def test_damaged_file_is_replaced(content: bytes, folder: Path) -> None:
    reserve_soon()
    [file] = folder.iterdir()
    file.write_bytes(content)
    assert [reserve_soon() for _ in range(3)][-1] <= 11


def test_folder_is_private(folder: Path) -> None:
    reserve_soon()
    assert folder.stat().st_mode & 0o777 == 0o700
    [file] = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "Acme" not in file.name


def test_folder_that_others_can_write_to_is_not_used(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    assert [reserve_soon() for _ in range(5)] == [0] * 5
    assert list(folder.iterdir()) == []


def test_link_is_not_used(folder: Path, tmp_path: Path) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    folder.symlink_to(elsewhere)
    assert [reserve_soon() for _ in range(5)] == [0] * 5
    assert list(elsewhere.iterdir()) == []


def test_unusable_temporary_directory_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert reserve_soon() == 0


def test_without_file_locks_nothing_is_shared(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(machine_rate_limit, "fcntl", None)
    assert [reserve_soon() for _ in range(5)] == [0] * 5
    assert not folder.exists()


def test_process_that_keeps_the_file_locked_does_not_block_others(folder: Path) -> None:
    reserve_soon()
    [file] = folder.iterdir()
    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        begun = time.monotonic()
        assert [reserve_soon() for _ in range(2)] == [0, 0]
        assert time.monotonic() - begun < 5
