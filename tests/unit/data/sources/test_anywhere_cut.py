"""Where a file's bytes are cut on the way makes no difference, whatever is in it, and nothing in it raises."""

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from graftwork.data.layouts import record_of
from graftwork.data.records import Record
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.found import Bad, Row
from graftwork.data.sources.read import rows

PARTS = [
    b'{"prompt": "u", "completion": "a"}',
    b'{"prompt": "\xe4\xb8\xad", "completion": "\xf0\x9f\x98\x80"}',
    b'{"prompt": "u", "completion": "a"',
    b'"a","b\n""c"""',
    b"u,a",
    b'u,"a',
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b'"',
    b"\\",
    b"\\ud800",
    b"\n",
    b"\r\n",
    b"\r",
    b"\t",
    b" ",
    b"\0",
    b"\xff",
    b"\xe4\xb8",
    b"\xef\xbb\xbf",
    b"prompt,completion\n",
    b"123456789",
    b"NaN",
    b"text",
]
CONTENTS = st.lists(st.sampled_from(PARTS) | st.binary(max_size=4), max_size=30).map(b"".join)
KINDS = ["jsonl", "json", "csv", "tsv", "txt"]


def found(path: Path, encoding: str) -> list[tuple[object, ...]]:
    """What is in a file, without its name."""
    source = SourceSpec(path=str(path), encoding=encoding)
    return [
        (one.origin.line, one.origin.unit, one.data) if isinstance(one, Row) else (one.origin.line, one.reason)
        for one in rows(source)
    ]


@pytest.mark.parametrize("kind", KINDS)
@given(content=CONTENTS, encoding=st.sampled_from(["utf-8", "gb18030", "big5", "utf-16"]), step=st.integers(1, 9))
@example(content=b'{"prompt": "u", "completion": "a"}\0', encoding="utf-8", step=1)
@example(content=b'{"prompt": "u"}"a","b\n""c"""{"prompt": "u"}', encoding="utf-8", step=1)
@settings(max_examples=120, deadline=None)
def test_the_cuts_do_not_matter(kind: str, content: bytes, encoding: str, step: int):
    with tempfile.TemporaryDirectory() as folder:
        whole, pieces = Path(folder) / f"x.{kind}", Path(folder) / f"y.{kind}.gz"
        whole.write_bytes(content)
        pieces.write_bytes(b"".join(gzip.compress(content[i : i + step]) for i in range(0, len(content), step)))
        assert found(pieces, encoding) == found(whole, encoding)


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())), min_size=1))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_again(written: list[dict[str, object]]):
    import json

    with tempfile.TemporaryDirectory() as folder:
        for ascii_only in (True, False):
            texts = [json.dumps(row, ensure_ascii=ascii_only) for row in written]
            for name, content in (("x.jsonl", "\n".join(texts)), ("x.json", "[" + ",\n".join(texts) + "]")):
                path = Path(folder) / name
                try:
                    path.write_text(content, encoding="utf-8")
                except UnicodeEncodeError:  # half a character
                    continue
                for row, one in zip(written, rows(SourceSpec(path=str(path))), strict=True):
                    assert isinstance(one, Bad) if "\\ud" in json.dumps(row) and not _is_whole(row) else one.data == row


def _is_whole(row: dict[str, object]) -> bool:
    import json

    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "messages",
                "prompt",
                "completion",
                "text",
                "label",
                "chosen",
                "rejected",
                "conversations",
                "instruction",
                "output",
                "history",
                "tools",
                "system",
                "answers",
                "context",
                "question",
            ]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda below: (
                st.lists(below)
                | st.dictionaries(
                    st.sampled_from(["role", "content", "from", "value", "weight", "learn", "text"]), below
                )
            ),
        ),
    )
)
@settings(max_examples=40, deadline=None)
def test_a_row_is_a_record_or_bad_and_nothing_raises(data: dict[str, object]):
    from graftwork.data.layouts import LAYOUTS
    from graftwork.data.records import Origin

    source = SourceSpec(path="x")
    for layout in LAYOUTS:
        one = record_of(Row(Origin("x", 1), data), layout, source, system="s", source_number=0)
        assert isinstance(one, Record) or one.reason == "layout"
