"""What the campaign and the code location call things; the location itself is only imported where time runs fast."""

PLAN = "ENDURANCE_PLAN"
SANDBOX = "ENDURANCE_SANDBOX"
ALERTS = "ENDURANCE_ALERTS"
COMPLETION = "completion"
ALERTING = "alerting"
