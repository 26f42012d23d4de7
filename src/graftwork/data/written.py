"""Records as lines of JSON, as they lie in a run's folder."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from graftwork.data.records import Origin, Record


def record_data(record: Record) -> dict[str, Any]:
    """A record as plain data; only what it has. Its group is never written: it may name a person."""
    said: dict[str, Any] = {"messages": [dict(m) for m in record.messages], "origin": asdict(record.origin)}
    more: Mapping[str, Any] = {"learn": record.learn, "rejected": record.rejected, "tools": record.tools}
    return {**said, **{key: value for key, value in more.items() if value}}


def record_from(data: Mapping[str, Any]) -> Record:
    """What `record_data` wrote."""
    spans = tuple(None if one is None else tuple((a, b) for a, b in one) for one in data.get("learn", ()))
    return Record(
        tuple(data["messages"]),
        Origin(**data["origin"]),
        learn=spans,
        rejected=data.get("rejected"),
        tools=tuple(data.get("tools", ())),
    )


def json_line(data: Mapping[str, Any]) -> bytes:
    """One line of JSON."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False).encode() + b"\n"
