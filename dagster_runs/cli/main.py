"""The command ``dagster-runs``. Each subcommand imports what it needs, so that ``--help`` responds at once."""

from pathlib import Path
from typing import Any

import click

from dagster_runs.cli.options import definitions_options, json_option
from dagster_runs.version import __version__

_EXIT_CODES = "Exit codes: 0 fine, 1 a vendor or the state of the runs says no, 2 wrong options or surroundings."


@click.group("dagster-runs", context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXIT_CODES)
@click.version_option(__version__, prog_name="dagster-runs")
def main() -> None:
    """Checks connections to vendors, and lists, cancels and adopts remote runs.

    Definitions are found as `dagster` and `dg` find them: -w, -f or -m, or else pyproject.toml or workspace.yaml in the
    current folder or above it. The Dagster instance is the one of DAGSTER_HOME. Variables in a file .env there are set
    first.
    """


@main.command()
@click.option("--resource", "resource_keys", multiple=True, metavar="KEY", help="Check only this resource.")
@json_option
@definitions_options
def check(resource_keys: tuple[str, ...], as_json: bool, **definitions: Any) -> None:
    """Check the connection to each vendor, and start nothing.

    Reports for each resource whether the server can be reached, whether it accepts the credentials, how far its clock
    differs from this machine's, and what it says about its version.
    """
    from dagster_runs.cli.check import check_connections
    from dagster_runs.cli.code_location import code_locations

    with code_locations(definitions, needs_instance=False) as locations:
        check_connections(locations, resource_keys, as_json=as_json)


@main.command()
@click.argument("asset", required=False)
@click.option("--partition", help="Only runs of this partition.")
@click.option("--status", "with_status", is_flag=True, help="Ask the vendors for the status of each run.")
@click.option("--remote-id", metavar="ID", help="Find the Dagster run of this run at the vendor, also a finished one.")
@click.option("--days", default=30.0, show_default=True, help="How far back --remote-id searches.")
@json_option
@definitions_options
def runs(
    *,
    asset: str | None,
    partition: str | None,
    with_status: bool,
    remote_id: str | None,
    days: float,
    as_json: bool,
    **definitions: Any,
) -> None:
    """List what is in flight, queued, uncertain or orphaned.

    ASSET is the key of an asset as the UI shows it (testgen/orders_quality); without it, all assets are listed.
    """
    from dagster_runs.cli.code_location import code_locations, enter_surroundings, open_instance
    from dagster_runs.cli.find_remote import find_remote_run
    from dagster_runs.cli.runs import list_runs

    if remote_id is not None:
        enter_surroundings(definitions)
        with open_instance(is_required=True) as instance:
            find_remote_run(instance, remote_id, asset, days, as_json=as_json)
        return
    with code_locations(definitions, needs_instance=True) as locations:
        list_runs(locations, asset, partition, with_status=with_status, as_json=as_json)


@main.command()
@click.argument("asset")
@click.option("--partition", help="Cancel only the run of this partition.")
@click.option("--run-id", help="Cancel only the run with this id at the vendor, or the queued request with this id.")
@click.option(
    "--field", "fields", multiple=True, metavar="NAME=VALUE", help="A field of the run; see the documentation."
)
@json_option
@definitions_options
def cancel(
    *,
    asset: str,
    partition: str | None,
    run_id: str | None,
    fields: tuple[str, ...],
    as_json: bool,
    **definitions: Any,
) -> None:
    """Cancel runs of ASSET at the vendor, and wait for the confirmation.

    Cancels deferred runs, queued requests, and runs that no step waits for any longer. A run that a step waits for is
    canceled by terminating its Dagster run.
    """
    from dagster_runs.cli.cancel import cancel_runs
    from dagster_runs.cli.code_location import code_locations

    with code_locations(definitions, needs_instance=True) as locations:
        cancel_runs(locations, asset, partition, run_id, fields, as_json=as_json)


@main.command()
@click.argument("asset")
@click.argument("run_id", required=False)
@click.option("--none", "is_none", is_flag=True, help="No run was started.")
@click.option("--partition", help="The partition, or first...last for a range.")
@click.option("--dagster-run", metavar="ID", help="The Dagster run whose start is uncertain, if there are several.")
@click.option(
    "--field", "fields", multiple=True, metavar="NAME=VALUE", help="A field of the run; see the documentation."
)
@click.option("--resource", "resource_key", metavar="KEY", help="The resource, for an asset of your own with several.")
@json_option
@definitions_options
def adopt(
    *,
    asset: str,
    run_id: str | None,
    is_none: bool,
    partition: str | None,
    dagster_run: str | None,
    fields: tuple[str, ...],
    resource_key: str | None,
    as_json: bool,
    **definitions: Any,
) -> None:
    """Record which run at the vendor is the one of an uncertain start of ASSET.

    After StartOutcomeUnknown, find out at the vendor whether a run was started. Pass its RUN_ID, or --none. The command
    checks that the run exists, and records it. Re-execute the Dagster run from failure: it attaches to the run, or
    starts one. The completion sensor reports the run of an asset with wait="defer".
    """
    from dagster_runs.cli.adopt import AdoptRequest, adopt_run
    from dagster_runs.cli.code_location import code_locations

    if (run_id is None) == (not is_none):
        raise click.UsageError("Pass either the RUN_ID of the run at the vendor, or --none.")
    wanted = AdoptRequest(asset, run_id, partition, dagster_run, fields, resource_key)
    with code_locations(definitions, needs_instance=True) as locations:
        adopt_run(locations, wanted, as_json=as_json)


@main.command("testgen-login")
@click.argument("base_url")
@click.option("--client-id", help="An OAuth client of your own. By default, a new one is registered.")
@click.option("--client-secret", envvar="TESTGEN_CLIENT_SECRET", help="Its secret. Better in TESTGEN_CLIENT_SECRET.")
@click.option(
    "--port", default=0, help="The port on this machine to which the browser returns. By default, a free one."
)
@click.option("--no-browser", is_flag=True, help="Print the address of the login page instead of opening it.")
@click.option("--timeout", default=300.0, show_default=True, help="Seconds to wait for the login.")
@click.option("--prefix", default="TESTGEN", show_default=True, help="The beginning of the variables' names.")
@click.option(
    "--write-env",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the variables to this file, which only you can read, instead of printing them.",
)
@click.option("--ca-bundle", help="A PEM file with the certificates of a private CA.")
@click.option("--allow-plain-http", is_flag=True, help="Allow http:// for a server on another machine.")
@json_option
def testgen_login(base_url: str, as_json: bool, **options: Any) -> None:
    """Log in to the TestGen server at BASE_URL in a browser, to get a refresh token.

    Prints the environment variables for TestGenResource. They contain secrets. The refresh token is valid for 30 days,
    with the permissions of the user who logs in.
    """
    from dagster_runs.cli.testgen_login import log_in

    log_in(base_url, as_json=as_json, **options)
