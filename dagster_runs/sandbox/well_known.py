"""The sandbox's default tokens and ids.

They are public and give access to nothing real.
"""

from __future__ import annotations

# --- RudderStack
RUDDERSTACK_TOKEN = "sandbox-rudderstack-token"

PROFILES_FEATURES = "2hkeBOp0lGJpMPyur0oXUxxIDhw"
"""Succeeds in about 20 seconds."""
PROFILES_FAILING = "2hkeFa1l3dGJpMPyur0oXUxxIDa"
"""Ends `failed`, with an error."""
PROFILES_FINISHED_WITH_ERROR = "2hkeF1n1sh3dErrorur0oXUxxID"
"""Ends `finished`, with an error, which is the vendor's newer way to report a failure."""
PROFILES_SNAKE_CASE = "2hkeSnak3pMPyur0oXUxxIDhwQz"
"""Has responses in snake_case, like an example in the vendor's own client."""
PROFILES_SLOW = "2hkeS10wGJpMPyur0oXUxxIDhwR"
"""Runs for an hour."""

RETL_AUDIENCE = "2aUd1enceJpMPyur0oXUxxIDcon"
"""A Reverse ETL connection whose syncs succeed in about 15 seconds, without failed rows."""
RETL_REJECTED_ROWS = "2rEject3dJpMPyur0oXUxxIDcon"
"""Its syncs succeed, but the destination rejects 17 rows."""
RETL_FAILING = "2fA1l1ngJpMPyur0oXUxxIDconn"
"""Its syncs end `failed`, with an error."""
RETL_SLOW = "2sL0wGJpMPyur0oXUxxIDconnec"
"""Its syncs run for an hour."""

# --- Amperity
AMPERITY_TOKEN = "sandbox-amperity-token"
"""Never expires."""
AMPERITY_TENANT = "sandbox"
AMPERITY_CLIENT_ID = "amp-sandbox-client"
AMPERITY_CLIENT_SECRET = "sandbox-client-secret"

AMPERITY_COURIERS = "cg-2efo5X8vo"
"""A courier group that succeeds in about 20 seconds."""
AMPERITY_FILES = "cg-1Fi1esQ7w"
"""A courier group that pulls files, so it requires `range_from`."""
AMPERITY_FAILING = "cg-3fA1lsK2m"
"""A courier group that ends `failed`: one task fails, the next one still runs, and the last one is skipped."""
AMPERITY_SLOW = "cg-4s10wPq9T"
"""A courier group that runs for an hour."""
AMPERITY_ORCHESTRATION = "og-7aBc2DeFg"
"""An orchestration group. A task that has started continues when the workflow is stopped."""
AMPERITY_CAMPAIGN = "cc-21HCWon6Y"
"""A campaign."""

# --- Segmentflow
SEGMENTFLOW_API_KEY = "sk_live_sandbox"

SEGMENTFLOW_JOURNEY = "5e9f1c00-0000-4000-8000-000000000001"
SEGMENTFLOW_JOURNEY_KEY = "welcome-back"
"""The key of the same journey, for the newer trigger. The journey completes in about 10 seconds."""
SEGMENTFLOW_EXITING = "5e9f1c00-0000-4000-8000-000000000002"
SEGMENTFLOW_EXITING_KEY = "abandoned-cart"
"""The recipient leaves the journey before its end: `exited`."""
SEGMENTFLOW_FAILING = "5e9f1c00-0000-4000-8000-000000000003"
SEGMENTFLOW_FAILING_KEY = "broken-template"
"""Ends `failed`, with an error."""

# --- Prophecy
PROPHECY_TOKEN = "sandbox-prophecy-token"

PROPHECY_FABRIC = 33290
PROPHECY_PROJECT = "41459"
PROPHECY_PIPELINE = "customer_360"
"""Succeeds in about 12 seconds."""
PROPHECY_PIPELINE_FAILING = "customer_360_broken"
"""Ends `ERROR`, with a message of several lines."""

# --- TestGen (both mounts have the same tokens and ids, but separate jobs)
TESTGEN_TOKEN = "sandbox-testgen-token"
"""Never expires."""
TESTGEN_CLIENT_ID = "sandbox-client"
TESTGEN_CLIENT_SECRET = "sandbox-client-secret"
TESTGEN_REFRESH_TOKEN = "sandbox-refresh-token"
TESTGEN_USERNAME = "admin"
TESTGEN_PASSWORD = "sandbox-password"
"""The user of the login page."""
TESTGEN_PROJECT = "DEFAULT"

TABLE_GROUP = "0ea85e17-acbe-47fe-8394-9970725ad37d"
"""The demo tables: customers, orders, products, user_features."""
SUITE_DEFAULT = "9df7489d-92b3-49f9-95ca-512160d7896f"
"""179 passed, 12 failed, 15 warnings, 8 errors."""
SUITE_FEATURES = "f0e1d2c3-0000-4000-8000-000000000001"
"""64 tests, all passed."""
SUITE_ORDERS = "f0e1d2c3-0000-4000-8000-000000000002"
"""41 passed, 5 failed, 2 warnings."""

TABLE_GROUP_MARKETING = "3a9d4c60-0000-4000-8000-000000000001"
"""Two of the tables, for the suites whose names begin with `marketing_`."""
SUITE_MARKETING_CUSTOMERS = "3a9d4c60-0000-4000-8000-000000000002"
"""Its 18 tests pass."""
SUITE_MARKETING_PRODUCTS = "3a9d4c60-0000-4000-8000-000000000003"
"""22 passed, 1 warning."""
SUITE_MARKETING_DRAFT = "3a9d4c60-0000-4000-8000-000000000004"
"""`marketing_offers_draft`, to be excluded from discovery."""

SUITE_SLOW = "c0ffee00-0000-4000-8000-000000000001"
"""Its one test sleeps for 40 seconds."""
SUITE_CLEAN = "c0ffee00-0000-4000-8000-000000000002"
"""Its one test passes."""
SUITE_BAD_SQL = "c0ffee00-0000-4000-8000-000000000003"
"""Its one test is broken: `completed`, score 1.0, one error."""
SUITE_EMPTY = "c0ffee00-0000-4000-8000-000000000004"
"""No tests: `completed`, score 1.0."""
TABLE_GROUP_NO_SCHEMA = "c0ffee00-0000-4000-8000-000000000005"
"""Its schema does not exist: `completed`, score 1.0, no tables."""
TABLE_GROUP_DOWN = "c0ffee00-0000-4000-8000-000000000006"
"""Its database refuses connections: ends in `error`."""
SUITE_DOWN = "c0ffee00-0000-4000-8000-000000000007"
"""Its database refuses connections: ends in `error`."""
SUITE_GENERATED = "c0ffee00-0000-4000-8000-000000000009"
"""Empty, for test generation."""

# Earlier names of two of them.
PROFILES_SNAKE = PROFILES_SNAKE_CASE
TABLE_GROUP_NOWHERE = TABLE_GROUP_NO_SCHEMA
