"""The part of the demo that is defined in YAML. `definitions.py` loads it."""
