"""HTTP calls to vendors' APIs. This package depends neither on any vendor nor on Dagster."""
