"""Dagster components, one for each vendor: remote runs as YAML. Imported only when a component is used."""
