"""The demo: Dagster with a sandbox of the vendors. Run `python -m demo` or `python -m demo.materialize`."""
