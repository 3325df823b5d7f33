"""Checks what a release consists of: the wheel, the source distribution, and the workflows. See `make dist`."""
