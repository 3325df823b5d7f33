"""Access to a TestGen server: the login, and what `dagster-runs check` asks."""
