"""One folder for each vendor. A sixth vendor is a new folder, and nothing else."""
