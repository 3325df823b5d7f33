"""Shares a rate limit among the processes of one user on this machine, through a small file in the temporary directory.

Each request reserves a time to be sent. Processes on other machines, or with another temporary directory, are unknown
here. Without file locks (on Windows) or without a usable directory, nothing is shared: each process then has only its
own limit, and learns about the others from 429 responses (see `backoff`).
"""

import os
import stat
import tempfile
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_MARGIN = 0.1
"""The share by which the window is extended if other processes use it too. Between its reserved time and its arrival, a
request is delayed by a varying time, which the processes do not know of each other."""
_MAX_AHEAD = 60.0
"""The maximum seconds to wait. A time that is further ahead was written before the machine's clock was set back."""
_LOCK_ATTEMPTS, _LOCK_PAUSE = 50, 0.01
"""How long to wait for the file. It is locked only for a moment, unless a process is suspended in that moment."""


def reserve(account: str, limit: int, window: float) -> float:
    """Reserves the next time at which a request to the account may be sent.

    Args:
        account: The account that the limit applies to.
        limit: The number of requests in each window.
        window: The length of the window in seconds.

    Returns:
        The seconds until the reserved time; 0 also if the limit cannot be shared.
    """
    if fcntl is None:
        return 0.0
    try:
        with _locked(_folder() / sha256(account.encode()).hexdigest()[:16]) as file:
            return _reserve_in(file, limit, window) if file is not None else 0.0
    except OSError:
        return 0.0


def _reserve_in(file: int, limit: int, window: float) -> float:
    now, process = time.time(), float(os.getpid())
    stored = array("d")
    data = os.pread(file, os.fstat(file).st_size, 0)
    stored.frombytes(data[: len(data) // 16 * 16])
    # Pairs of a reserved time and the process that reserved it, oldest first. The comparison is false for NaN.
    reserved = [(at, by) for at, by in zip(stored[::2], stored[1::2], strict=True) if at < now + _MAX_AHEAD]
    at = now
    if len(reserved) >= limit:
        is_shared = any(by != process for _, by in reserved[-limit:])
        at = max(now, reserved[-limit][0] + window * (1 + _MARGIN * is_shared))
    reserved = [*reserved, (at, process)][-limit:]
    data = array("d", [number for pair in reserved for number in pair]).tobytes()
    os.pwrite(file, data, 0)
    os.ftruncate(file, len(data))
    return at - now


def _folder() -> Path:
    """Returns the directory for the files of this user.

    Raises:
        OSError: It cannot be created, or another user could write to it.
    """
    folder = Path(tempfile.gettempdir()) / f"dagster_runs-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is not a directory of this user only")
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """Opens and locks the file. Yields ``None`` if another process keeps it locked."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        for _ in range(_LOCK_ATTEMPTS):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_LOCK_PAUSE)
            else:
                yield file
                return
        yield None
    finally:
        os.close(file)  # also unlocks it
