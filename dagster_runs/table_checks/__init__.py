"""Reports the results of a suite of tests as asset checks on your own tables."""
