"""The sandbox as an object: a server in a separate thread."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from dagster_runs.sandbox import control
from dagster_runs.sandbox.app import RequestHandler
from dagster_runs.sandbox.client import SandboxClient
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse
from dagster_runs.sandbox.state import VENDORS, SandboxState, VendorMaker

# Long enough for pending responses, short enough for a test suite.
_SHUTDOWN_SECONDS = 0.1
_CONTROL_TIMEOUT = 30.0


class Sandbox(SandboxClient):
    """Simulated servers of the vendors on this machine, with all the controls of `SandboxClient`.

    ```python
    with Sandbox(speed=20) as sandbox:
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        ...
        assert sandbox.starts("rudderstack") == 1
    ```

    The state and the port are kept after `stop`, so that the sandbox can be started again like a server after an
    outage.

    Args:
        speed: Simulated seconds per real second; 0 stops the time, so that only `advance` moves it.
        port: The port to listen on; 0 for a free one.
        host: The address to listen on.
        vendors: The simulated vendors: subclasses of `Vendor`. Defaults to the built-in ones.
    """

    def __init__(
        self,
        speed: float = 1.0,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        vendors: Sequence[VendorMaker] = VENDORS,
    ) -> None:
        super().__init__("")
        self._state = SandboxState(speed, vendors)
        self._host = host
        self._port = port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handler: RequestHandler | None = None
        self._error: BaseException | None = None
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        """The URL of the sandbox. With port 0, it is known only after the sandbox has started."""
        if not self._port:
            raise RuntimeError("the sandbox has not been started")
        return f"http://{self._host}:{self._port}"

    @property
    def client(self) -> SandboxClient:
        """A client with only the controls."""
        return SandboxClient(self.url)

    def start(self) -> Sandbox:
        """Starts the server.

        Raises:
            OSError: The port is in use.
        """
        if self._thread is not None:
            raise RuntimeError("the sandbox is already running")
        self._ready.clear()
        self._error = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="sandbox", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            self._thread = None
            raise self._error
        return self

    def stop(self) -> None:
        """Stops the server and closes the connections."""
        if self._thread is None or self._loop is None or self._handler is None:
            return
        self._loop.call_soon_threadsafe(self._handler.stopping.set)
        self._thread.join()
        self._thread = None

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _send(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        # Bypasses HTTP, which takes ten times as long as most control requests.
        request = ApiRequest(method, f"/_sandbox/{path}", urlencode(query), {}, body, self.url, tuple(path.split("/")))

        async def respond() -> ApiResponse:
            return control.handle_request(self._state, request)

        if self._thread is None or self._loop is None:
            response = control.handle_request(self._state, request)
        else:
            # Only the server's thread may use the state while the server runs.
            response = asyncio.run_coroutine_threadsafe(respond(), self._loop).result(_CONTROL_TIMEOUT)
        return response.status, json.loads(response.payload())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handler = RequestHandler(self._state)
        runner = web.AppRunner(
            self._handler.make_application(),
            access_log=None,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            handler_cancellation=True,
        )
        try:
            await runner.setup()
            # Uses the host as given, so that the server does not listen on other addresses that it resolves to.
            site = web.TCPSite(runner, self._host, self._port, reuse_address=True)
            await site.start()
            self._port = runner.addresses[0][1]
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for the server
            self._error = error
            await runner.cleanup()
            return
        finally:
            self._ready.set()
        await self._handler.stopping.wait()
        await runner.cleanup()
