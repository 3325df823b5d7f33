"""The limits of the sensors, in one place: Dagster ends a tick after 60 seconds, whatever it was doing.

All times are in seconds. Code reads them as ``limits.NAME``, so that a test can change one.
"""

from dagster_runs.remote_run.types import DAY, MAX_HOST_CLOCK_SKEW, MAX_START_LATENCY

# A tick of the completion sensor, from its beginning.
TICK_READ_UNTIL = 12.0
"""The event log is read until then."""
TICK_SCHEDULES_UNTIL = 14.0
"""How long earlier runs took is read until then."""
TICK_POLL_UNTIL = 18.0
"""Status calls begin until then."""
TICK_REPORT_UNTIL = 24.0
"""Outcomes are reported until then. What is left of the 60 seconds is for Dagster, to store them."""
MAX_TICK_EVENTS = 1000
"""Events that a tick reports, however fast the storage is."""
MAX_TICK_REQUESTS = 25
"""Dagster runs that a tick requests: Dagster launches them one by one."""
EVENTS_PER_REQUEST = 40
"""Events that Dagster stores in the time in which it launches a run."""
MIN_STORED_EVALUATIONS = 20
"""Check evaluations that a tick stores however late it is, so that each tick makes progress."""

# How many events a tick reports: Dagster stores them one by one, in the same tick.
STORE_SECONDS = 10.0
"""Time of a tick that storing its events may take."""
FIRST_TICK_EVENTS = 250
"""Events of a tick while the speed of the storage is unknown."""
MIN_TICK_EVENTS = 40
MIN_MEASURED_EVENTS = 10
"""Fewer events say nothing about the speed of the storage."""

# Polling.
MAX_CONCURRENT_POLLS = 8
"""Status calls under way at one vendor at the same time."""
MAX_FAILURES_IN_A_ROW = 3
"""Failed calls in a row after which a vendor is left alone until the next tick."""
MAX_LISTED_PER_POLL = 20
"""Entries of a vendor's list that are read for each run that is due: a page holds more, so it costs no more calls."""
LISTED_LATE = 900.0
"""A vendor may list a run so late, or list it as so much older than it is by our clock."""
SLOW_LIST_RETRY_SECONDS = 120.0
"""A list that took all its time and showed nothing is left out for so long: individual polls need the time."""
FILTER_RETRY_SECONDS = 3600.0
"""The list of finished runs is left out for so long after the vendor has refused its filter."""
MIN_LIST_PART = 60.0
"""A list that is too long for a tick is read in parts; no part is shorter."""
LIST_OVERLAP = 15.0
"""Two parts overlap by so much, as the vendor's clock is known only as exactly as its responses are fast."""
MAX_SILENCE = 3600.0
"""The vendor is asked for the status of a run itself at least so often (less often for old runs): a run that is not in
the list of finished runs may be one that the vendor has forgotten."""

# A run that is beyond its deadline.
OVERDUE_GRACE = 600.0
"""A run that was polled without an answer is left to a Dagster run so long after it was seen to be overdue."""
OVERDUE_UNPOLLED_GRACE = 3600.0
"""The same for a run that could not be polled at all."""
CHECKS_GRACE = DAY
"""So long after its deadline, the result of a materialized run is still fetched, to report its checks."""

# Problems that a person has to solve.
REFUSED_GRACE = 60.0
"""401 or 403 for so long are such a problem."""
ALARM_INTERVAL = 300.0
"""While such a problem lasts, at least one tick in this time fails."""

# The Dagster runs that report failures.
MAX_REPORT_ATTEMPTS = 3
"""Dagster runs for the same outcome that never begin, or whose worker dies, before it is given up."""
DIED_AFTER = 600.0
"""A Dagster run may still fail so long after its step has recorded the outcome: that takes seconds, and run monitoring,
which checks every two minutes, ends a run whose worker has died."""
DIED_UNRECORDED_AFTER = 3600.0
"""The same for a Dagster run that has recorded nothing yet, after its start and after the remote run's deadline: its
step waits while a vendor is down, but not longer than until the deadline."""
RUNS_PER_QUERY = 200
LATE_FOLLOW_UP = 600.0
"""After a lost tick, follow-up jobs are requested again for what was reported so long before its cursor."""

# Reading the event log.
RECORDS_PER_PAGE = 500
PARTITIONS_PER_QUERY = 500
REREAD_SECONDS = 60.0
"""Entries are read again for so long: one with a smaller id may become visible after one with a larger id."""
REREAD_BY_TIMESTAMP = 300.0 + MAX_HOST_CLOCK_SKEW
"""A new process reads entries of so long ago again; what is older is not about to become visible."""
LOOKBACK_MARGIN = DAY
"""The first reading of the event log begins so long before the longest timeout."""
WIPE_CHECK_INTERVAL = 60.0
WIPE_CHECK_ASSETS = 20
"""Assets that one check for wiped runs covers, at one query each."""
WIPE_CHECK_RUNS = 200

# A tick of the observation sensor.
OBSERVE_UNTIL = 20.0
"""Calls begin until then, except for those in `OBSERVE_POLL_RESERVE`."""
OBSERVE_LIST_SECONDS = 10.0
"""Time in which one resource's list is read."""
OBSERVE_POLL_RESERVE = 5.0
"""Time that is left for status calls after a list that took all the time."""
MIN_LISTED = 20
"""Entries of a list that are read however long it takes, so that each tick makes progress."""
FIRST_LIST_PART = 1800.0
"""Time of a list that is read as one part at first: more than usual, so that the list is usually read as a whole."""
MAX_OBSERVED_EVENTS = 500
MAX_OBSERVED_REQUESTS = 25
OBSERVE_MAX_AGE = 30 * DAY
"""A run that does not finish within this time is no longer polled."""
TARGET_UNKNOWN_GRACE = 3600.0
"""A finished run whose target the vendor does not tell within this time fills no asset."""
START_RECORDED_WITHIN = 3600.0
"""Ledgers are searched for the start of a run from so long before its creation."""
START_DECIDED_WITHIN = MAX_START_LATENCY + 600.0
"""A start of ours whose outcome is unknown holds other runs back for so long."""
