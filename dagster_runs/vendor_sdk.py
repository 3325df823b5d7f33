"""All that a vendor outside this package imports. These names are stable; everything else in the package may change.

A vendor is two classes: a resource (`RemoteRunResource`), which knows the URL of the API and the credentials, and a run
(`RemoteRun`), which starts something and polls it. ``docs/your-own-vendor.md`` explains what to implement.
"""

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.partitions import iso
from dagster_runs.remote_run.field_types import Time, Uuid
from dagster_runs.remote_run.quality import QualityGate, check_counts, check_score
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.response_models import (
    EachReadable,
    ErrorText,
    Lenient,
    OptionalTime,
    RunId,
    Unreadable,
    VendorModel,
)
from dagster_runs.remote_run.settings import Flag, Number, OptionalNumber, OptionalWholeNumber, WholeNumber
from dagster_runs.remote_run.state import RunState, RunStatus, UtcTime, parse_state, seconds_between
from dagster_runs.remote_run.tables import Cell, numbers, table_entries
from dagster_runs.remote_run.types import (
    DAY,
    UNREADABLE_ID,
    CheckOutcome,
    DataCheck,
    ListedRun,
    RunResult,
    StartAttempt,
    StartCandidate,
)
from dagster_runs.transport.auth import Auth, HeaderAuth, authorization, basic, bearer
from dagster_runs.transport.body import ApiResponse
from dagster_runs.transport.client import ErrorReader, HttpClient
from dagster_runs.transport.errors import (
    AuthenticationError,
    ConflictError,
    ConnectionFailedError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
    VendorError,
)

__all__ = [
    "DAY",
    "UNREADABLE_ID",
    "ApiResponse",
    "Auth",
    "AuthenticationError",
    "Cell",
    "CheckOutcome",
    "ConflictError",
    "ConnectionFailedError",
    "DataCheck",
    "EachReadable",
    "ErrorReader",
    "ErrorText",
    "Flag",
    "HeaderAuth",
    "HttpClient",
    "InvalidRequestError",
    "Lenient",
    "ListedRun",
    "NotFoundError",
    "Number",
    "OptionalNumber",
    "OptionalTime",
    "OptionalWholeNumber",
    "PermissionDeniedError",
    "QualityGate",
    "RateLimitedError",
    "RemoteRun",
    "RemoteRunResource",
    "RunId",
    "RunResult",
    "RunState",
    "RunStatus",
    "ServerError",
    "StartAttempt",
    "StartCandidate",
    "Time",
    "UnexpectedResponseError",
    "Unreadable",
    "UtcTime",
    "Uuid",
    "VendorError",
    "VendorModel",
    "WholeNumber",
    "authorization",
    "basic",
    "bearer",
    "check_counts",
    "check_score",
    "iso",
    "numbers",
    "parse_state",
    "seconds_between",
    "table_entries",
]
