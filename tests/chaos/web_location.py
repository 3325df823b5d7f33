"""The code location, as the web server loads it."""

from tests.chaos.code_location import definitions

defs = definitions()
