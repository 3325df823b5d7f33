"""How long to pause between two looks at a run."""

FIRST_PAUSE = 0.5
_SHARE_OF_AGE = 0.1
_SHARE_OF_REST = 0.5


def next_pause(age: float, *, longest: float, usual: float | None = None) -> float:
    """Seconds until the next look: short at first, long in the middle, short near the end that earlier runs suggest.

    Args:
        age: Seconds since the run was started.
        longest: The longest pause, from the resource's ``poll_interval``.
        usual: Seconds that earlier runs of the asset took; ``None`` for a first run.
    """
    pause = max(FIRST_PAUSE, age * _SHARE_OF_AGE)
    if usual is not None and age < usual:
        pause = max(FIRST_PAUSE, min(max(pause, usual * _SHARE_OF_AGE), (usual - age) * _SHARE_OF_REST))
    return min(pause, longest)
