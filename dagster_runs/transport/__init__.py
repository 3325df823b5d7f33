"""HTTP, and nothing but HTTP: knows no vendor and no Dagster."""
