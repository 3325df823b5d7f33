"""`python -m dagster_runs.sandbox`: runs the sandbox as a separate process."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
import threading
from importlib import import_module

import click

from dagster_runs.sandbox.page import render_banner
from dagster_runs.sandbox.server import Sandbox
from dagster_runs.sandbox.state import VENDORS, SandboxState, VendorMaker
from dagster_runs.sandbox.vendor import Vendor


@click.command()
@click.option("--port", default=8099, show_default=True, help="The port to listen on; 0 for a free one.")
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Simulated seconds per real second.",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--allow-remote", is_flag=True, help="Allow listening on an address that other machines can reach.")
@click.option(
    "--vendor",
    "more_vendors",
    multiple=True,
    metavar="MODULE:CLASS",
    help="Also simulate a vendor of your own: a subclass of dagster_runs.sandbox.Vendor. Can be repeated.",
)
def main(port: int, speed: float, host: str, allow_remote: bool, more_vendors: tuple[str, ...]) -> None:
    """Serve local simulations of the vendors' APIs until interrupted."""
    if not allow_remote and not _is_loopback(host):
        raise click.UsageError(
            f"{host} can be reached from other machines, and the sandbox's tokens are public. "
            "If you want this, add --allow-remote."
        )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    vendors: list[VendorMaker] = [*VENDORS, *(_imported(name) for name in more_vendors)]
    sandbox = Sandbox(speed=speed, port=port, host=host, vendors=vendors)
    try:
        sandbox.start()
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from None
    click.echo(render_banner(SandboxState(vendors=vendors).vendors, sandbox.url))
    stop.wait()
    sandbox.stop()


def _imported(name: str) -> type[Vendor]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        raise click.UsageError(f"--vendor {name}: {error}. Write it as module:Class, such as stand_ins:Acme.") from None
    if not (isinstance(found, type) and issubclass(found, Vendor)):
        raise click.UsageError(f"--vendor {name}: {attribute} is not a subclass of dagster_runs.sandbox.Vendor")
    return found


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


if __name__ == "__main__":
    main(prog_name="python -m dagster_runs.sandbox")
