"""The observation sensor: reports runs that were started elsewhere."""
