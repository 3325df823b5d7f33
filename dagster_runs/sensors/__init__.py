"""The sensors: they handle many remote runs without a step for each, both deferred runs and runs started elsewhere."""
