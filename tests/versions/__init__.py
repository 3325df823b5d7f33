"""Runs the tests with the built wheel, on other versions of Python and of the dependencies."""
