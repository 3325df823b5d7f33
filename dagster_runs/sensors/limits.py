"""The limits of the sensors, in one place. Dagster ends a tick after 60 seconds, no matter what it is doing.

All times are in seconds. Code reads them as ``limits.NAME``, so that a test can change one.
"""

from dagster_runs.remote_run.types import DAY, MAX_HOST_CLOCK_SKEW, MAX_START_LATENCY

# The time of a tick: a user chooses its seconds, and each part ends at a share of them. See `TickTimes`.
TICK_SECONDS = 24.0
"""The default. The rest of the 60 seconds is for a report that takes long."""
MIN_TICK_SECONDS = 5.0
MAX_TICK_SECONDS = 50.0

# A tick of the completion sensor, as shares of its time since its beginning.
TICK_READ_SHARE = 12 / 24
"""The event log is read until then."""
TICK_SCHEDULES_SHARE = 14 / 24
"""The durations of earlier runs are read until then."""
TICK_POLL_SHARE = 18 / 24
"""Status calls begin until then."""
TICK_WAIT_SHARE = 19 / 24
"""The tick waits until then for status calls in progress. Later ticks apply the results of the others."""
TICK_WIPE_CHECK_SHARE = 20 / 24
"""Runs whose asset may have been wiped are searched until then."""
TICK_REPORT_SHARE = 23 / 24
"""Outcomes are reported until then."""
MIN_WAIT_SECONDS = 1.0
"""How long a tick waits for status calls no matter how late it is, so that each tick makes progress."""
MAX_TICK_EVENTS = 400
"""The maximum number of events that a tick reports. The daemon stores them one by one after the tick, without a time
limit, but evaluates no other sensor meanwhile. It needs 5 to 60 ms for each."""
MAX_TICK_BYTES = 3_000_000
"""The maximum size of what a tick returns, as Dagster serializes it. A hosted Dagster accepts 4 MB in a request. Other
installations send it by gRPC, up to 100 MB."""
MAX_EVENT_BYTES = 600_000
"""More than the size of the largest event: its metadata has at most `MAX_METADATA_BYTES`."""
MAX_TICK_REQUESTS = 25
"""The maximum number of Dagster runs that a tick requests. Dagster launches them one by one."""
EVENTS_PER_REQUEST = 40
"""The number of events that Dagster stores in the time that it takes to launch a run."""
EVALUATED_AT_ONCE = 100
"""The number of materializations of one run that are read at once, to report their evaluations."""
MIN_STORED_EVALUATIONS = 20
"""The number of check evaluations that a tick reports no matter how late it is, so that each tick makes progress."""

# Polling.
MAX_CONCURRENT_POLLS = 8
"""The maximum number of concurrent status calls to one vendor."""
MAX_FAILURES_IN_A_ROW = 3
"""The number of consecutive failed calls after which a vendor is not called again until the next tick."""
MAX_LISTED_PER_POLL = 20
"""The list entries to read for each run that is due. A page has more, so this needs no additional calls."""
LISTED_LATE = 900.0
"""A vendor may list a run this late, or with a creation time that is this much too early by our clock."""
SLOW_LIST_RETRY_SECONDS = 120.0
"""How long a list is skipped that took too long, or showed nothing in its time: individual polls need the time."""
FILTER_RETRY_SECONDS = 3600.0
"""How long the list of finished runs is skipped after the vendor has refused its filter."""
MIN_LIST_PART = 30.0
"""The minimum length of a part, for a list that is too long for a tick and is read in parts."""
MIN_LISTED = 20
"""The entries of a part that the observation sensor reads no matter how long it takes, so that it makes progress."""
LIST_OVERLAP = 15.0
"""The overlap of two parts. The vendor's clock is known only as precisely as its responses are fast."""
MAX_SILENCE = 3600.0
"""The maximum time without a status call for a run (longer for old runs). A run that is not in the list of finished
runs may be one that the vendor has lost."""

# Runs that are past their deadline.
OVERDUE_GRACE = 600.0
"""A run that was polled without a response is left to a Dagster run this long after it was seen to be overdue."""
OVERDUE_UNPOLLED_GRACE = 3600.0
"""The same for a run that could not be polled at all."""
CHECKS_GRACE = DAY
"""How long after its deadline the result of a materialized run is still fetched, to report its checks."""

# Problems that a user must solve.
REFUSED_GRACE = 60.0
"""How long responses with 401 or 403 must last before a user must act."""
ALARM_INTERVAL = 300.0
"""While such a problem lasts, at least one tick fails in this time."""

# The Dagster runs that report failures.
MAX_REPORT_ATTEMPTS = 3
"""How many Dagster runs for the same outcome may never begin, or lose their worker, before it is given up."""
DIED_AFTER = 600.0
"""How long after its step has recorded the outcome a Dagster run may still fail. That takes seconds, and run
monitoring, which checks every two minutes, fails a run whose worker has died."""
DIED_UNRECORDED_AFTER = 3600.0
"""The same for a Dagster run that has not recorded anything yet, after its start and after the remote run's deadline.
Its step waits while a vendor is unavailable, but no longer than until the deadline."""
RUNS_PER_QUERY = 200
LATE_FOLLOW_UP = 600.0
"""How far back, before the last stored cursor, follow-up jobs are requested again after a lost tick."""

# The text of a tick.
MAX_NAMED = 5
"""The number of runs of each kind that the text names."""
MAX_SUMMARY = 1_500
"""The maximum number of characters about single runs."""

# The queue.
QUEUE_PAUSE = 15.0
"""The pause before a request is admitted again whose step found that it was not its turn. Doubled each time."""
MAX_QUEUE_PAUSE = 900.0

# Reading the event log.
RECORDS_PER_PAGE = 500
PARTITIONS_PER_QUERY = 500
REREAD_SECONDS = 60.0
"""How long entries are read again. An entry with a smaller id may become visible after one with a larger id."""
REREAD_BY_TIMESTAMP = 300.0 + MAX_HOST_CLOCK_SKEW
"""A new process reads entries that are up to this old again. Older ones are not about to become visible."""
LOOKBACK_MARGIN = DAY
"""The first reading of the event log begins this long before the longest timeout."""
WIPE_CHECK_INTERVAL = 60.0
WIPE_CHECK_ASSETS = 20
"""The number of assets that one check for wiped runs covers, with one query each."""
WIPE_CHECK_RUNS = 200

# A tick of the observation sensor, as shares of its time.
OBSERVE_BEGIN_SHARE = 16 / 24
"""The runs of a further resource are observed only if that can begin until then."""
OBSERVE_LIST_END_SHARE = 19 / 24
"""A call for a list that is still in progress then is aborted."""
OBSERVE_SHARE = 20 / 24
"""Other calls begin until then, except for those in `OBSERVE_RESERVE_SHARE`. They are aborted at the tick's end."""
OBSERVE_LIST_SHARE = 10 / 24
"""The time in which one resource's list is read."""
OBSERVE_RESERVE_SHARE = 3 / 24
"""The time that is left for status calls after a list that took all the time."""
OBSERVE_MAX_AGE = 30 * DAY
"""A run that does not finish within this time is no longer polled."""
TARGET_UNKNOWN_GRACE = 3600.0
"""A finished run whose target the vendor does not report within this time is not assigned to any asset."""
START_RECORDED_WITHIN = 3600.0
"""Ledgers are searched for the start of a run from this long before its creation."""
START_DECIDED_WITHIN = MAX_START_LATENCY + 600.0
"""How long a start of ours with an unknown outcome delays other runs."""

# A tick of the check failure sensor, in seconds since its beginning.
CHECKS_READ_UNTIL = 14.0
"""Check records and the events of Dagster runs are read until then. The next tick continues."""
CHECKS_PER_QUERY = 500
MAX_RECHECKED_RUNS = 50
"""The number of ended Dagster runs with open plans that a tick reads."""
PLAN_MAX_AGE = 7 * DAY
"""How long after a Dagster run has ended one of its planned evaluations may still be reported."""
MAX_PLANS = 1000
"""The number of ended Dagster runs whose planned evaluations may still be reported. Beyond that, those that ended first
are left out."""
