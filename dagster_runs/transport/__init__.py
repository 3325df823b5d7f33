"""HTTP calls to vendors' APIs. Depends neither on Dagster nor on any particular vendor."""
