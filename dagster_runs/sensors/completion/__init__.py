"""The completion sensor: polls deferred runs until they have finished, and reports their outcomes."""
