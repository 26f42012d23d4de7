"""Lists that the recognisers read: parts of names, and words that look like names. `sections` reads them."""

from functools import cache
from importlib.resources import files


@cache
def sections(name: str) -> dict[str, list[str]]:
    """The lines of a list under each of its `[headings]`; lines that begin with # are remarks."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in files(__package__).joinpath(name).read_text("utf-8").splitlines():
        if line.startswith("["):
            lines = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


def word_set(name: str, heading: str) -> frozenset[str]:
    """The words of a list under one heading."""
    return frozenset(" ".join(sections(name)[heading]).split())
