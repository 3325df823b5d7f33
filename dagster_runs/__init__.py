"""Runs in someone else's system as Dagster assets: started once, never lost, reported with metadata and checks."""

from dagster_shared.libraries import DagsterLibraryRegistry

from dagster_runs.assets import build_remote_run_asset as build_remote_run_asset
from dagster_runs.remote_run.contract import RemoteRun as RemoteRun
from dagster_runs.remote_run.errors import RemoteRunError as RemoteRunError
from dagster_runs.remote_run.errors import RunCanceled as RunCanceled
from dagster_runs.remote_run.errors import RunConflict as RunConflict
from dagster_runs.remote_run.errors import RunFailed as RunFailed
from dagster_runs.remote_run.errors import RunLost as RunLost
from dagster_runs.remote_run.errors import RunTerminated as RunTerminated
from dagster_runs.remote_run.errors import RunTimedOut as RunTimedOut
from dagster_runs.remote_run.errors import StartOutcomeUnknown as StartOutcomeUnknown
from dagster_runs.remote_run.gate import QualityGate as QualityGate
from dagster_runs.remote_run.resource import RemoteRunResource as RemoteRunResource
from dagster_runs.transport.errors import AuthenticationError as AuthenticationError
from dagster_runs.transport.errors import ConflictError as ConflictError
from dagster_runs.transport.errors import ConnectionFailedError as ConnectionFailedError
from dagster_runs.transport.errors import InvalidRequestError as InvalidRequestError
from dagster_runs.transport.errors import NotFoundError as NotFoundError
from dagster_runs.transport.errors import PermissionDeniedError as PermissionDeniedError
from dagster_runs.transport.errors import RateLimitedError as RateLimitedError
from dagster_runs.transport.errors import ServerError as ServerError
from dagster_runs.transport.errors import UnexpectedResponseError as UnexpectedResponseError
from dagster_runs.transport.errors import VendorError as VendorError
from dagster_runs.vendors.rudderstack import RudderStackProfilesRun as RudderStackProfilesRun
from dagster_runs.vendors.rudderstack import RudderStackResource as RudderStackResource
from dagster_runs.vendors.testgen import TestGenProfilingRun as TestGenProfilingRun
from dagster_runs.vendors.testgen import TestGenResource as TestGenResource
from dagster_runs.vendors.testgen import TestGenTestRun as TestGenTestRun
from dagster_runs.version import __version__ as __version__

DagsterLibraryRegistry.register("dagster-runs", __version__, is_dagster_package=False)
