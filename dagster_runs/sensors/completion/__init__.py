"""The completion sensor: follows deferred runs to their ends, and reports them."""
