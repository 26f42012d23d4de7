"""Keys as a layout calls them. Pure."""

from collections.abc import Mapping

from graftwork.core.errors import Problem, did_you_mean
from graftwork.data.sources.found import Bad, Found, Row, bad, shown


def renamed(found: Found, fields: Mapping[str, str]) -> Found:
    """The row with the layout's keys for its own; Bad when it lacks one that is named.

    Args:
        fields: layout's key to this data's key.
    """
    if isinstance(found, Bad):
        return found
    data = found.data
    for key, here in fields.items():
        if here not in data:
            origin = found.origin
            hint = did_you_mean(here, map(str, data)) or f"Keys: {', '.join(map(str, list(data)[:20]))}."
            problem = Problem(f"{origin}: {here}", list(data)[:20], f"a key {here}, which fields names for {key}", hint)
            return bad(origin, "layout", problem, shown(data))
    taken = set(fields.values()) | fields.keys()
    kept = {key: value for key, value in data.items() if key not in taken}
    return Row(found.origin, {**kept, **{key: data[here] for key, here in fields.items()}})
