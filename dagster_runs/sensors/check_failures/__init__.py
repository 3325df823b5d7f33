"""The check failure sensor, which requests a job for each failed check."""
