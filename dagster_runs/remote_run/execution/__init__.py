"""One remote run inside one Dagster step: start or attach, wait, report, cancel."""
