"""The demo: a sandbox of the vendors, and Dagster in front of it. `python -m demo`, or `python -m demo.materialize`."""
