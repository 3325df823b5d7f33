"""`python -m demo`: runs the sandbox and the Dagster UI until interrupted."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

import click

from dagster_runs.sandbox import well_known
from demo.dagster_ui import check_port, dagster_ui
from demo.home import dagster_home
from demo.location import load_definitions
from demo.network import HOST
from demo.processes import ROOT, Background, DemoError, Stopped, stop_on_signals
from demo.sandbox import URL_VARIABLE, sandbox

_WATCH_SECONDS = 1.0
_MAX_PORT = 65535


@click.command()
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port of the Dagster UI.")
@click.option(
    "--sandbox-port",
    default=None,
    type=click.IntRange(1, 65535),
    help="Port of the sandbox. If it is in use, a free port is used instead.  [default: the port after the UI's]",
)
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Simulated seconds of the sandbox per real second.",
)
@click.option(
    "--home",
    default=ROOT / ".demo",
    type=click.Path(file_okay=False, path_type=Path),
    help="The demo's DAGSTER_HOME, which is kept between demos.  [default: .demo in the repository]",
)
def main(port: int, sandbox_port: int | None, speed: float, home: Path) -> None:
    """Start the sandbox of the vendors and the Dagster UI, and print what to try."""
    home = home.resolve()
    # Overrides your DAGSTER_HOME, since the demo must not write to a production instance.
    os.environ["DAGSTER_HOME"] = str(home)
    started_at = time.monotonic()
    try:
        with stop_on_signals() as stop:
            check_port(port)
            click.echo("Starting the sandbox, which simulates the vendors ...")
            with contextlib.ExitStack() as stack:
                stack.enter_context(dagster_home(home))
                preferred = sandbox_port or _port_after(port)
                vendors = stack.enter_context(sandbox(preferred, speed, home / "sandbox.log", stop))
                click.echo("Loading definitions.py and demo/defs ...")
                load_definitions()
                click.echo("Starting Dagster, which takes some 15 seconds ...")
                ui = stack.enter_context(dagster_ui(port, home, stop))
                seconds = time.monotonic() - started_at
                click.echo(_what_to_do(f"http://{HOST}:{port}", home, seconds))
                _watch([process for process in (ui, vendors) if process], stop)
                click.echo("\nStopping ...")
        click.echo("Stopped.")
    except Stopped:
        click.echo("Stopped before Dagster was up.")
    except DemoError as error:
        raise click.ClickException(str(error)) from None


def _port_after(port: int) -> int:
    return port + 1 if port < _MAX_PORT else 0


def _watch(processes: list[Background], stop: threading.Event) -> None:
    while not stop.wait(_WATCH_SECONDS):
        for process in processes:
            if not process.is_running:
                raise DemoError(f"{process.name} stopped unexpectedly.\n{process.last_words()}")


def _what_to_do(url: str, home: Path, seconds: float) -> str:
    vendors = os.environ[URL_VARIABLE].rstrip("/")
    return f"""
Dagster UI   {url}   (up after {seconds:.0f} s)
Sandbox      {vendors}/   (shows all requests, runs, tokens and ids)
Logs         {home}

What to do
  1. Open {url}/locations/customer_data/jobs/everything and press "Materialize all".
  2. While it runs, open {url}/assets/testgen/orders_quality?view=events
     The remote run's id, link, state and counts are shown while it is active; reload to see the counts grow.
  3. When it has finished, open the tab "Checks" there: the sandbox's orders are bad, so two checks fail,
     and revenue_report is not materialized. The features are good, so audience is materialized.
     churn_report fails, and its check run_status shows the pipeline's error.
  4. Materialize everything again, and press "Terminate" on the run's page: TestGen's runs are canceled.
     RudderStack's API cannot cancel runs, so the log says where to stop its run.
  5. Open {url}/assets/amperity_ingest and materialize a range of days: one workflow covers the whole range.
  6. Open {url}/assets/shop/orders?view=checks
     The tests of a TestGen suite are checks of this raw table. Some fail, so order_totals is not materialized.
  7. Materialize {url}/assets/churn_model: its step finishes at once, and no process waits for the pipeline.
     A sensor reports the result a few seconds after the pipeline finishes, and churn_scores follows by its
     automation condition.
  8. Open {url}/assets/testgen/marketing_customers?view=lineage
     This suite and its table group were discovered at the server: see demo/defs/marketing_quality/defs.yaml.
  9. Be a colleague. Open {url}/locations/customer_data/sensors/remote_run_observation
     and turn the sensor on: the switch is next to its name. (The other two sensors are already on; all are listed at
     {url}/automation.) Then start a run as a colleague would, with a button on {vendors}/ or with
       curl -X POST "{vendors}/_sandbox/runs?vendor=testgen&target_id={well_known.SUITE_FEATURES}"
     Within a minute after it has ended, {url}/assets/testgen/features_quality?view=events shows it.

Press Ctrl-C to stop everything.
"""


if __name__ == "__main__":
    main(prog_name="python -m demo")
