"""The code location that the web server loads."""

from tests.chaos.code_location import definitions

defs = definitions()
