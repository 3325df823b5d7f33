"""Keeps TestGen's embedded PostgreSQL running until a signal; runs inside TestGen's virtual environment.

``testgen run-app all`` plays this role for its children: one process owns the database, the others get its address in
``_TG_STANDALONE_URI`` and leave the database alone when they end, however they end. That command would start the web UI
as well, so this script replaces it. Prints one JSON line when the database is ready.
"""

from __future__ import annotations

import json
import signal
import threading

from testgen.common import standalone_postgres  # type: ignore[import-not-found]


def main() -> None:
    """See the top of this file."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    standalone_postgres.start_server()
    pid_file = standalone_postgres.get_home_dir() / "pgdata" / "postmaster.pid"
    print(
        json.dumps({"uri": standalone_postgres.get_server_uri(), "pid": int(pid_file.read_text().split()[0])}),
        flush=True,
    )
    stop.wait()
    standalone_postgres.stop_server()


if __name__ == "__main__":
    main()
