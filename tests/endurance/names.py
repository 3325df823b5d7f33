"""Names shared by the campaign and the code location, which is imported only by processes with accelerated time."""

PLAN = "ENDURANCE_PLAN"
SANDBOX = "ENDURANCE_SANDBOX"
ALERTS = "ENDURANCE_ALERTS"
COMPLETION = "completion"
ALERTING = "alerting"
