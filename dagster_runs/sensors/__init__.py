"""Many remote runs at once, followed without a step each: deferred ones to their end, and others' as they come."""
