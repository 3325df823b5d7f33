"""Remote runs in vendors' systems as Dagster assets: started once, never lost, reported with metadata and checks.

The names below are loaded on first use, because every `dg` command imports this module, and few users need all vendors.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dagster_shared.libraries import DagsterLibraryRegistry

from dagster_runs.version import __version__ as __version__

if TYPE_CHECKING:
    from dagster_runs.assets import build_remote_run_asset as build_remote_run_asset
    from dagster_runs.components.amperity import AmperityComponent as AmperityComponent
    from dagster_runs.components.prophecy import ProphecyComponent as ProphecyComponent
    from dagster_runs.components.rudderstack import RudderStackComponent as RudderStackComponent
    from dagster_runs.components.segmentflow import SegmentflowComponent as SegmentflowComponent
    from dagster_runs.components.testgen import TestGenComponent as TestGenComponent
    from dagster_runs.jobs import build_cancel_job as build_cancel_job
    from dagster_runs.launchpad import run_config_for as run_config_for
    from dagster_runs.remote_run.contract import RemoteRun as RemoteRun
    from dagster_runs.remote_run.data_tests import SuiteTable as SuiteTable
    from dagster_runs.remote_run.data_tests import SuiteTest as SuiteTest
    from dagster_runs.remote_run.errors import RemoteRunError as RemoteRunError
    from dagster_runs.remote_run.errors import RunCanceled as RunCanceled
    from dagster_runs.remote_run.errors import RunConflict as RunConflict
    from dagster_runs.remote_run.errors import RunFailed as RunFailed
    from dagster_runs.remote_run.errors import RunLost as RunLost
    from dagster_runs.remote_run.errors import RunTerminated as RunTerminated
    from dagster_runs.remote_run.errors import RunTimedOut as RunTimedOut
    from dagster_runs.remote_run.errors import StartOutcomeUnknown as StartOutcomeUnknown
    from dagster_runs.remote_run.quality import QualityGate as QualityGate
    from dagster_runs.remote_run.resource import RemoteRunResource as RemoteRunResource
    from dagster_runs.sensors.builders import build_check_failure_sensor as build_check_failure_sensor
    from dagster_runs.sensors.builders import build_completion_sensor as build_completion_sensor
    from dagster_runs.sensors.builders import build_observation_sensor as build_observation_sensor
    from dagster_runs.sensors.check_failures.failed_check import FailedCheck as FailedCheck
    from dagster_runs.sensors.observation.observed_asset import ObservedAsset as ObservedAsset
    from dagster_runs.sensors.run_outcome import FinishedRun as FinishedRun
    from dagster_runs.table_checks.builder import TableChecks as TableChecks
    from dagster_runs.table_checks.table_keys import TableKeys as TableKeys
    from dagster_runs.table_checks.testgen import build_testgen_checks as build_testgen_checks
    from dagster_runs.table_checks.testgen_profile import build_testgen_profile as build_testgen_profile
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
    from dagster_runs.vendors.amperity import AmperityResource as AmperityResource
    from dagster_runs.vendors.amperity import AmperityWorkflowRun as AmperityWorkflowRun
    from dagster_runs.vendors.prophecy import ProphecyPipelineRun as ProphecyPipelineRun
    from dagster_runs.vendors.prophecy import ProphecyResource as ProphecyResource
    from dagster_runs.vendors.rudderstack import RudderStackProfilesRun as RudderStackProfilesRun
    from dagster_runs.vendors.rudderstack import RudderStackResource as RudderStackResource
    from dagster_runs.vendors.rudderstack import RudderStackRETLSyncRun as RudderStackRETLSyncRun
    from dagster_runs.vendors.segmentflow import SegmentflowJourneyRun as SegmentflowJourneyRun
    from dagster_runs.vendors.segmentflow import SegmentflowResource as SegmentflowResource
    from dagster_runs.vendors.testgen import TestGenProfilingRun as TestGenProfilingRun
    from dagster_runs.vendors.testgen import TestGenResource as TestGenResource
    from dagster_runs.vendors.testgen import TestGenTestGenerationRun as TestGenTestGenerationRun
    from dagster_runs.vendors.testgen import TestGenTestRun as TestGenTestRun

_HOMES = {
    "dagster_runs.assets": ("build_remote_run_asset",),
    "dagster_runs.components.amperity": ("AmperityComponent",),
    "dagster_runs.components.prophecy": ("ProphecyComponent",),
    "dagster_runs.components.rudderstack": ("RudderStackComponent",),
    "dagster_runs.components.segmentflow": ("SegmentflowComponent",),
    "dagster_runs.components.testgen": ("TestGenComponent",),
    "dagster_runs.sensors.run_outcome": ("FinishedRun",),
    "dagster_runs.remote_run.contract": ("RemoteRun",),
    "dagster_runs.remote_run.errors": (
        "RemoteRunError",
        "RunCanceled",
        "RunConflict",
        "RunFailed",
        "RunLost",
        "RunTerminated",
        "RunTimedOut",
        "StartOutcomeUnknown",
    ),
    "dagster_runs.remote_run.quality": ("QualityGate",),
    "dagster_runs.remote_run.resource": ("RemoteRunResource",),
    "dagster_runs.jobs": ("build_cancel_job",),
    "dagster_runs.launchpad": ("run_config_for",),
    "dagster_runs.sensors.builders": (
        "build_check_failure_sensor",
        "build_completion_sensor",
        "build_observation_sensor",
    ),
    "dagster_runs.sensors.check_failures.failed_check": ("FailedCheck",),
    "dagster_runs.sensors.observation.observed_asset": ("ObservedAsset",),
    "dagster_runs.remote_run.data_tests": ("SuiteTable", "SuiteTest"),
    "dagster_runs.table_checks.builder": ("TableChecks",),
    "dagster_runs.table_checks.table_keys": ("TableKeys",),
    "dagster_runs.table_checks.testgen": ("build_testgen_checks",),
    "dagster_runs.table_checks.testgen_profile": ("build_testgen_profile",),
    "dagster_runs.transport.errors": (
        "AuthenticationError",
        "ConflictError",
        "ConnectionFailedError",
        "InvalidRequestError",
        "NotFoundError",
        "PermissionDeniedError",
        "RateLimitedError",
        "ServerError",
        "UnexpectedResponseError",
        "VendorError",
    ),
    "dagster_runs.vendors.amperity": ("AmperityResource", "AmperityWorkflowRun"),
    "dagster_runs.vendors.prophecy": ("ProphecyPipelineRun", "ProphecyResource"),
    "dagster_runs.vendors.segmentflow": ("SegmentflowJourneyRun", "SegmentflowResource"),
    "dagster_runs.vendors.rudderstack": (
        "RudderStackProfilesRun",
        "RudderStackRETLSyncRun",
        "RudderStackResource",
    ),
    "dagster_runs.vendors.testgen": (
        "TestGenProfilingRun",
        "TestGenResource",
        "TestGenTestGenerationRun",
        "TestGenTestRun",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


# Spelled out because type checkers do not evaluate expressions.
__all__ = [
    "AmperityComponent",
    "AmperityResource",
    "AmperityWorkflowRun",
    "AuthenticationError",
    "ConflictError",
    "ConnectionFailedError",
    "FailedCheck",
    "FinishedRun",
    "InvalidRequestError",
    "NotFoundError",
    "ObservedAsset",
    "PermissionDeniedError",
    "ProphecyComponent",
    "ProphecyPipelineRun",
    "ProphecyResource",
    "QualityGate",
    "RateLimitedError",
    "RemoteRun",
    "RemoteRunError",
    "RemoteRunResource",
    "RudderStackComponent",
    "RudderStackProfilesRun",
    "RudderStackRETLSyncRun",
    "RudderStackResource",
    "RunCanceled",
    "RunConflict",
    "RunFailed",
    "RunLost",
    "RunTerminated",
    "RunTimedOut",
    "SegmentflowComponent",
    "SegmentflowJourneyRun",
    "SegmentflowResource",
    "ServerError",
    "StartOutcomeUnknown",
    "SuiteTable",
    "SuiteTest",
    "TableChecks",
    "TableKeys",
    "TestGenComponent",
    "TestGenProfilingRun",
    "TestGenResource",
    "TestGenTestGenerationRun",
    "TestGenTestRun",
    "UnexpectedResponseError",
    "VendorError",
    "build_cancel_job",
    "build_check_failure_sensor",
    "build_completion_sensor",
    "build_observation_sensor",
    "build_remote_run_asset",
    "build_testgen_checks",
    "build_testgen_profile",
    "run_config_for",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})


DagsterLibraryRegistry.register("dagster-runs", __version__, is_dagster_package=False)
