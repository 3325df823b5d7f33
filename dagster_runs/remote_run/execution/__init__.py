"""Executes one remote run inside one Dagster step: start or attach, poll, report, cancel."""
