"""The command line ``dagster-runs``: checks connections, and lists, cancels and adopts remote runs."""
