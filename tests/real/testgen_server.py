"""Runs a real DataKitchen TestGen with demo data on this machine, for the tests in this folder.

    python tests/real/testgen_server.py install       a virtual environment with TestGen in .testgen/venv (1.3 GB)
    python tests/real/testgen_server.py start         PostgreSQL, demo data, API and worker; prints one JSON line
    python tests/real/testgen_server.py stop          take it down and remove its data (--keep leaves the data)
    python tests/real/testgen_server.py run -- CMD    the server for as long as CMD runs; its exit status is CMD's

``start`` uses a server that already runs, and removes the data of a crashed one. ``run`` stores address and login
in ``TESTGEN_REAL_URL``, ``TESTGEN_REAL_USERNAME`` and ``TESTGEN_REAL_PASSWORD``, and the address of the server's own
database in ``TESTGEN_REAL_DATABASE``. All files are in ``.testgen`` under the root of the repository.
Standard library only; Linux and macOS.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import testgen_api
import testgen_fixtures
import testgen_processes
from testgen_install import HOME, VENV, InstallError, install

T = TypeVar("T")

HERE = Path(__file__).resolve().parent
DATA = HOME / "data"
LOGS = DATA / "log"
_STATE = DATA / "server.json"
# In the order of stopping. PostgreSQL stops with its holder, unless the holder was killed.
_PROCESSES = ("quick-start", "worker", "api", "postgres-holder", "postgres")

_READY_SECONDS = 600  # the demo data takes 30 s on two cores, and minutes if other work needs them
_MAX_SOCKET = 103  # bytes, the limit of macOS; Linux allows 4 more


class ServerError(Exception):
    """TestGen cannot be started."""


@dataclass
class State:
    """Stored data about the server, so that a later command can find and stop it."""

    base_url: str
    username: str
    password: str
    # The lock of the embedded PostgreSQL. Its default is a file in the temp folder that all users of
    # the machine share.
    runtime: str
    seeded: bool = False  # with the demo data
    complete: bool = False  # started completely
    # Name to [pid, time of birth].
    processes: dict[str, testgen_processes.Process] = field(default_factory=dict)

    @staticmethod
    def load() -> State | None:
        """Returns what ``save`` wrote, or None."""
        try:
            return State(**json.loads(_STATE.read_text()))
        except FileNotFoundError:
            return None

    def save(self) -> None:
        """Writes the state atomically."""
        new = _STATE.with_suffix(".new")
        _write_private(new, json.dumps(asdict(self)))
        new.replace(_STATE)

    def record(self, name: str, pid: int) -> None:
        """Records a process of the server."""
        # An ended process is not recorded, because its number may be reused soon.
        if born := testgen_processes.born(pid):
            self.processes[name] = (pid, born)
            self.save()


# --- its processes


_children: list[subprocess.Popen[bytes]] = []  # kept, or Python warns that they still run


def _log(name: str) -> Path:
    return LOGS / f"{name}.log"


def _spawn(name: str, command: Sequence[str | Path], env: dict[str, str], state: State) -> subprocess.Popen[bytes]:
    """Starts a process of the server in its own session, which a Ctrl-C in the terminal does not reach."""
    with _log(name).open("wb") as output:
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=DATA,
            start_new_session=True,
        )
    _children.append(child)
    state.record(name, child.pid)
    return child


def _wait(name: str, child: subprocess.Popen[bytes], ready: Callable[[], T | None]) -> T:
    """Returns the first result of ``ready`` except None; raises with the end of the log after a timeout."""
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        ended = child.poll() is not None
        if (result := ready()) is not None:
            return result
        if ended or time.monotonic() > deadline:
            log = _log(name).read_text(errors="replace").splitlines()
            what = "ended" if ended else f"is not ready after {_READY_SECONDS} s"
            raise ServerError("\n".join([f"{name} {what}:", *log[-40:]]))
        time.sleep(0.05)


def _write_private(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


# --- start


@dataclass(frozen=True)
class Server:
    """A running server."""

    base_url: str
    username: str
    password: str
    started: bool  # by this call; False if it was already running

    def login(self) -> testgen_api.Grant:
        """Returns a new login, with tokens that are not shared."""
        return testgen_api.login(self.base_url, self.username, self.password)


def start() -> Server:
    """Installs and starts TestGen, or uses the running server."""
    install()
    state = State.load()
    if state and state.complete and all(map(testgen_processes.alive, state.processes.values())):
        return Server(state.base_url, state.username, state.password, started=False)
    if state is None or state.processes or not state.seeded:
        stop()  # the data of a crashed server may be inconsistent
        state = None
    try:
        return _start(state)
    except BaseException:
        stop()
        raise


def _start(kept: State | None) -> Server:
    if len(os.fsencode(DATA / "pgdata/.s.PGSQL.5432")) > _MAX_SOCKET:
        raise ServerError(f"{DATA} is too long a path for PostgreSQL's socket; put the repository somewhere shorter")
    port = _free_port()
    base_url = f"http://127.0.0.1:{port}"
    runtime = tempfile.mkdtemp(prefix="testgen-")
    Path(runtime, "python_PostgresServer").mkdir()  # PostgreSQL's package uses this folder without creating it
    LOGS.mkdir(parents=True, exist_ok=True)
    if kept:
        state = State(base_url, kept.username, kept.password, runtime, seeded=True)
    else:
        state = State(base_url, "admin", secrets.token_urlsafe(12), runtime)
        _write_private(DATA / "config.env", _configuration(state))
    state.save()
    env = _environment(runtime, port)
    testgen = VENV / "bin/testgen"

    holder = _spawn("postgres-holder", [VENV / "bin/python", HERE / "testgen_postgres.py"], env, state)
    database = json.loads(_wait("postgres-holder", holder, lambda: _line("postgres-holder", '{"uri"')))
    state.record("postgres", database["pid"])
    env["_TG_STANDALONE_URI"] = database["uri"]

    if not state.seeded:
        quick_start = _spawn("quick-start", [testgen, "quick-start"], env, state)
        _wait("quick-start", quick_start, lambda: quick_start.poll() == 0 or None)
        del state.processes["quick-start"]
        state.seeded = True
        state.save()

    api = _spawn("api", [testgen, "run-app", "server"], env, state)
    worker = _spawn("worker", [testgen, "run-app", "scheduler"], env, state)
    # Both take seconds to start; meanwhile, the fixtures are added.
    fixtures = [VENV / "bin/python", HERE / "testgen_fixtures.py"]
    subprocess.run([*fixtures, database_uri()], check=True, env=env)
    _wait("api", api, lambda: _healthy(base_url) or None)
    _wait("worker", worker, lambda: _line("worker", "Starting CLI Scheduler"))
    server = Server(base_url, state.username, state.password, started=True)
    client = testgen_api.Api(base_url, server.login().access_token)
    for suite, body in testgen_fixtures.definitions_to_import().items():
        client.call("POST", f"/test-suites/{suite}/test-definition-import", body)
    state.complete = True
    state.save()
    return server


def database_uri() -> str:
    """Returns the address of the running server's own database."""
    line = _line("postgres-holder", '{"uri"') if _log("postgres-holder").exists() else None
    if line is None:
        raise ServerError(f"no server with data in {DATA} is running")
    return str(json.loads(line)["uri"]).replace("/postgres?", "/datakitchen?")


def _configuration(state: State) -> str:
    """Returns the configuration that the interactive ``testgen standalone-setup`` would write."""
    settings = {
        "TG_STANDALONE_MODE": "yes",
        "TESTGEN_USERNAME": state.username,
        "TESTGEN_PASSWORD": state.password,
        "TG_DECRYPT_SALT": secrets.token_hex(8),
        "TG_DECRYPT_PASSWORD": secrets.token_hex(8),
        "TG_JWT_HASHING_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "TESTGEN_LOG_FILE_PATH": str(LOGS),
        "TG_ANALYTICS": "no",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _environment(runtime: str, port: int) -> dict[str, str]:
    """Returns the whole environment of the server's processes.

    It excludes all other variables of the caller. TestGen prefers variables to its configuration file, and uses
    ``SSL_CERT_FILE``, which many machines set to their CA bundle, as the certificate of its own server;
    PostgreSQL's client uses ``PGHOST`` and similar variables.
    """
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return kept | {
        "PATH": os.pathsep.join((str(VENV / "bin"), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": str(DATA),
        "XDG_RUNTIME_DIR": runtime,
        "TG_TESTGEN_HOME": str(DATA),
        "TG_ANALYTICS": "no",
        "TG_MCP_ENABLED": "no",
        "TG_API_HOST": "127.0.0.1",
        "TG_API_PORT": str(port),
        "TG_API_TLS_ENABLED": "no",
        "TG_BASE_URL": f"http://127.0.0.1:{port}",
        "TG_JOB_POLL_INTERVAL": "1",
        "TG_JOB_SHUTDOWN_TIMEOUT": "1",  # jobs that still run when the server stops are not needed
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _line(name: str, wanted: str) -> str | None:
    """Returns the first complete line of process ``name`` that contains ``wanted``."""
    lines = _log(name).read_text(errors="replace").splitlines(keepends=True)
    return next((line for line in lines if wanted in line and line.endswith("\n")), None)


def _healthy(base_url: str) -> bool:
    try:
        return testgen_api.send(base_url, "GET", "/api/v1/health")[0] == 200
    except OSError:
        return False


# --- stop


def stop(keep: bool = False) -> None:
    """Stops every process that ``start`` recorded, and removes the data, unless it is complete and to be kept."""
    with _signals_ignored():  # a second Ctrl-C must not leave processes behind
        state = State.load()
        if state:
            state.complete = False
            state.save()
            for name in _PROCESSES:
                if name in state.processes:
                    keep &= testgen_processes.end(
                        state.processes[name]
                    )  # the data of a killed server may be inconsistent
            for child in _children:
                child.poll()
            shutil.rmtree(state.runtime, ignore_errors=True)
            state.processes = {}
            state.save()
        if DATA.exists() and not (keep and state):
            shutil.rmtree(DATA)


@contextmanager
def _signals_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- the command line


def main() -> int:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description="Run a real TestGen for the tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install")
    commands.add_parser("start")
    commands.add_parser("stop").add_argument("--keep", action="store_true", help="leave the data for the next start")
    commands.add_parser("run").add_argument("cmd", nargs="+", metavar="CMD", help="after --")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began = time.monotonic()
    try:
        if arguments.command == "install":
            install()
            print(json.dumps({"venv": str(VENV), "seconds": round(time.monotonic() - began, 1)}))
        elif arguments.command == "start":
            print(json.dumps(_description(start()) | {"seconds": round(time.monotonic() - began, 1)}))
        elif arguments.command == "stop":
            stop(arguments.keep)
            print(json.dumps({"seconds": round(time.monotonic() - began, 1)}))
        else:
            return _run(arguments.cmd)
    except (InstallError, ServerError) as error:
        print(f"testgen_server: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _description(server: Server) -> dict[str, object]:
    # Two grants, because a refresh revokes the previous access token.
    state, grant = State.load(), server.login()
    return {
        "base_url": server.base_url,
        "username": server.username,
        "password": server.password,
        "access_token": server.login().access_token,
        "client_id": grant.client_id,
        "client_secret": grant.client_secret,
        "refresh_token": grant.refresh_token,
        **testgen_fixtures.IDS,
        "pids": {name: pid for name, (pid, _) in state.processes.items()} if state else {},
        "started": server.started,
    }


def _run(command: list[str]) -> int:
    server = start()
    try:
        env = os.environ | {
            "TESTGEN_REAL_URL": server.base_url,
            "TESTGEN_REAL_USERNAME": server.username,
            "TESTGEN_REAL_PASSWORD": server.password,
            "TESTGEN_REAL_DATABASE": database_uri(),
        }
        child = subprocess.Popen(command, env=env)
        try:
            return child.wait()
        finally:
            child.terminate()
            child.wait()
    finally:
        if server.started:
            stop()


if __name__ == "__main__":
    sys.exit(main())
