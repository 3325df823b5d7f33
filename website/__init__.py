"""Builds the documentation site from `docs/` with Zensical, and checks it. See `make docs`."""
