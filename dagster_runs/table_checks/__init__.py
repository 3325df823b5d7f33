"""Reports the results of a suite of tests as asset checks on the user's own tables."""
