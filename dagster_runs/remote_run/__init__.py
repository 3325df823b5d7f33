"""The life of a remote run: started once, waited for, cancelled or left, reported. Knows no vendor."""
