"""What a TestGen server lists: its suites and table groups, and the results of a run by test, table and column."""
