"""`python -m demo`: the sandbox and the Dagster UI, until interrupted."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

import click

from demo.dagster_ui import check_port, dagster_ui
from demo.home import dagster_home
from demo.network import HOST
from demo.processes import ROOT, Background, DemoError, Stopped, stop_on_signals
from demo.sandbox import URL_VARIABLE, USUAL_PORT, sandbox

_WATCH_SECONDS = 1.0


@click.command()
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Of the Dagster UI.")
@click.option("--sandbox-port", default=USUAL_PORT, show_default=True, help="Another one is taken if it is in use.")
@click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(min=0), help="Of the sandbox's time.")
@click.option(
    "--home",
    default=ROOT / ".demo",
    type=click.Path(file_okay=False, path_type=Path),
    help="Dagster's home, kept from demo to demo.  [default: .demo in the repository]",
)
def main(port: int, sandbox_port: int, speed: float, home: Path) -> None:
    """Start the vendors' stand-ins and the Dagster UI, and say what to look at."""
    home = home.resolve()
    # Not the user's own DAGSTER_HOME, if there is one: the demo has no business in an instance that is in earnest.
    os.environ["DAGSTER_HOME"] = str(home)
    begun = time.monotonic()
    try:
        with stop_on_signals() as stop:
            check_port(port)
            click.echo("Starting the sandbox and Dagster ...")
            with contextlib.ExitStack() as started:
                started.enter_context(dagster_home(home))
                vendors = started.enter_context(sandbox(sandbox_port, speed, home / "sandbox.log", stop))
                ui = started.enter_context(dagster_ui(port, home, stop))
                click.echo(_what_to_do(f"http://{HOST}:{port}", vendors is not None, home, time.monotonic() - begun))
                _watch([process for process in (ui, vendors) if process], stop)
                click.echo("\nStopping ...")
        click.echo("Stopped.")
    except Stopped:
        click.echo("Stopped before Dagster was up.")
    except DemoError as error:
        raise click.ClickException(str(error)) from None


def _watch(processes: list[Background], stop: threading.Event) -> None:
    while not stop.wait(_WATCH_SECONDS):
        for process in processes:
            if not process.is_running:
                raise DemoError(f"{process.name} has ended by itself.\n{process.last_words()}")


def _what_to_do(url: str, has_sandbox: bool, home: Path, seconds: float) -> str:
    stand_ins = (
        f"{os.environ[URL_VARIABLE]}/   stand-ins of the vendors: their requests and runs"
        if has_sandbox
        else "not started by this demo"
    )
    return f"""
Dagster UI   {url}   (up after {seconds:.0f} s)
Sandbox      {stand_ins}
Logs         {home}

What to do
  1. Open {url}/locations/customer_data/jobs/everything and press "Materialize all".
  2. While it runs, open {url}/assets/testgen/orders_quality?view=events
     The remote run's id, link, state and counts are there before it has ended; reload to see them grow.
  3. When it has ended, open the tab "Checks" there: the sandbox's orders are bad, so two checks fail,
     and revenue_report is held back. The features are good, so audience is materialized.
     churn_report fails: what broke the pipeline is readable on its check run_status.
  4. Materialize once more, and press "Terminate" on the run's page: TestGen's runs are canceled,
     and the log says of RudderStack's, which nobody can cancel, where to stop it.
  5. Open {url}/assets/amperity_ingest and materialize a range of days: one workflow over the whole range.
  6. Materialize {url}/assets/churn_model: its step ends at once, and nothing waits for the pipeline. A sensor reports
     its end some seconds after it comes, and churn_scores follows by its automation condition.

Ctrl-C stops everything.
"""


if __name__ == "__main__":
    main(prog_name="python -m demo")
