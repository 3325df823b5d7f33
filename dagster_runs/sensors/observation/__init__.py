"""The observation sensor: reports runs that others started."""
