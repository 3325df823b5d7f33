"""The supported vendors, one folder each. Adding a vendor means adding a folder and changes nothing else."""
