"""Numbers with units as people read them."""

STEP = 1024


def bytes_text(num_bytes: float) -> str:
    """A byte count in binary units.

    >>> bytes_text(512), bytes_text(1536), bytes_text(3 * 2**30)
    ('512 B', '1.5 KiB', '3.0 GiB')
    """
    if num_bytes < STEP:
        return f"{num_bytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        num_bytes /= STEP
        if round(num_bytes, 1) < STEP:
            return f"{num_bytes:.1f} {unit}"
    return f"{num_bytes / STEP:.1f} TiB"


def seconds_text(seconds: float) -> str:
    """A duration.

    >>> seconds_text(3.21), seconds_text(75), seconds_text(7260)
    ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count_text(count: int) -> str:
    """A count with thousands separated.

    >>> count_text(4884480)
    '4,884,480'
    """
    return f"{count:,}"
