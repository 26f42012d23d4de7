"""Malformed data files of all kinds, made from a seed, each with the good records that are in it.

`malformed_files(seed)` makes them; `write_all(folder, seed)` puts them into a folder.
"""

import gzip
import io
import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MB = 1 << 20


@dataclass(frozen=True)
class Malformed:
    """A file.

    Attributes:
        good: numbers of the records that are whole in it, in order; `pair` says what they hold.
        bad: lines, entries or rows that are bad, in order; None where only more than none is sure.
        reason: why all that is bad is so, where that is sure.
        encoding: what a source would say its encoding is.
    """

    name: str
    content: bytes
    good: tuple[int, ...]
    bad: tuple[int, ...] | None
    encoding: str = "utf-8"
    reason: str | None = None


def pair(number: int) -> tuple[str, str]:
    """Prompt and completion of the good record with a number."""
    return f'Frage {number}, 第{number}个问题: "why, so?"', f"Antwort {number} \\ 回答{number} 😀"


def row(number: int) -> str:
    """The good record as JSON."""
    return json.dumps(dict(zip(("prompt", "completion"), pair(number), strict=True)), ensure_ascii=False)


def cells(number: int, delimiter: str = ",") -> str:
    """The good record as a row of a table."""
    return delimiter.join('"' + cell.replace('"', '""') + '"' for cell in pair(number))


BAD_LINES: dict[str, bytes] = {
    "broken utf-8": b'{"prompt": "a\xff\xfeb", "completion": "c"}',
    "utf-8 cut in a character": '{"prompt": "中'.encode()[:-1] + b'", "completion": "c"}',
    "overlong utf-8": b'{"prompt": "\xc0\xaf", "completion": "c"}',
    "surrogate in utf-8": b'{"prompt": "\xed\xa0\x80", "completion": "c"}',
    "gbk": '{"prompt": "客户的问题", "completion": "回答"}'.encode("gbk"),
    "latin-1": '{"prompt": "Bär", "completion": "ä"}'.encode("latin-1"),
    "mark in the middle": b'\xef\xbb\xbf{"prompt": "a", "completion": "c"}',
    "null bytes": b'{"prompt": "a\0b", "completion": "c"}',
    "nothing but null bytes": b"\0" * 400,
    "control character": b'{"prompt": "a\x01b", "completion": "c"}',
    "tab in text": b'{"prompt": "a\tb", "completion": "c"}',
    "carriage return between": b'{"prompt": "a",\r "completion": "c"} {"prompt": "d"}\r x',
    "deep lists": b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b', "completion": "c"}',
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep and open": b"[" * 200_000,
    "deep enough to break others": b'{"prompt": "a", "completion": "c", "b": ' + b'{"a":' * 500 + b"1" + b"}" * 501,
    "key twice": b'{"prompt": "a", "prompt": "b", "completion": "c"}',
    "nan": b'{"prompt": "a", "completion": "c", "score": NaN}',
    "infinity": b'{"prompt": "a", "completion": "c", "score": -Infinity}',
    "float too large": b'{"prompt": "a", "completion": "c", "score": 1e999}',
    "integer too long": b'{"prompt": "a", "completion": "c", "score": ' + b"9" * 5_000 + b"}",
    "half surrogate": b'{"prompt": "a\\ud83d", "completion": "c"}',
    "half surrogate in a key": b'{"a\\udc00": 1, "prompt": "a", "completion": "c"}',
    "wrong escape": b'{"prompt": "a\\x", "completion": "c"}',
    "short escape": b'{"prompt": "a\\u12", "completion": "c"}',
    "text not closed": b'{"prompt": "a, "completion": "c"}',
    "object not closed": b'{"prompt": "a", "completion": "c"',
    "closed twice": b'{"prompt": "a", "completion": "c"}}',
    "comma missing": b'{"prompt": "a" "completion": "c"}',
    "colon missing": b'{"prompt" "a", "completion": "c"}',
    "comma at the end": b'{"prompt": "a", "completion": "c",}',
    "single quotes": b"{'prompt': 'a', 'completion': 'c'}",
    "comment": b'{"prompt": "a", "completion": "c"} // no',
    "two in a line": b'{"prompt": "a", "completion": "c"} {"prompt": "a", "completion": "c"}',
    "python": b'{"prompt": None, "completion": True}',
    "list": b'["prompt", "completion"]',
    "text": b'"prompt"',
    "number": b"17",
    "null": b"null",
    "true": b"true",
    "words": b"prompt completion",
    "open bracket": b"[",
    "closing bracket": b"]",
    "random": bytes(b for b in random.Random(7).randbytes(3_000) if b != 10),
    "prompt is a number": b'{"prompt": 3, "completion": "c"}',
    "prompt is null": b'{"prompt": null, "completion": "c"}',
    "prompt is an object": b'{"prompt": {"a": 1}, "completion": "c"}',
    "completion is empty": b'{"prompt": "a", "completion": "  "}',
    "completion is missing": b'{"prompt": "a"}',
    "object is empty": b"{}",
    "10000 columns": json.dumps({f"column {i}": i for i in range(10_000)}).encode(),
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "csv": b"prompt,completion\r",
}
"""Lines of which each is bad by itself and by nothing else."""

BAD_ENTRIES = [
    name
    for name in BAD_LINES
    if name
    not in (
        "open bracket",  # these open or close the list they stand in, or are more than one entry
        "closing bracket",
        "closed twice",
        "comment",
        "two in a line",
        "random",
        "carriage return between",
        "mark in the middle",
        "tab in text",
        "csv",
    )
]

BAD_ROWS: dict[str, bytes] = {
    "too few cells": b"a",
    "too many cells": b"a,b,c",
    "quote not closed": b'a,"b',
    "text after a quote": b'"a"b,c',
    "broken utf-8": b"a\xff,c",
    "broken utf-8 in quotes": b'"a\xff",c',
    "null bytes": b"a\0,c",
    "header again": b"prompt,completion",
    "empty cells": b",",
    "completion is empty": b"a,",
    "gbk": "客户的问题,回答".encode("gbk"),
    "10000 cells": b",".join([b"a"] * 10_000),
    "quote that opens two lines": b'"a\nb"c,d',
}

ENDS = {"lf": b"\n", "crlf": b"\r\n"}


def malformed_files(seed: int = 0) -> list[Malformed]:
    """All of them; the seed says how many good records stand where."""
    draw = random.Random(seed)
    makers = (_json_lines, _json_lists, _tables, _packed, _other_encodings, _other_kinds, _binary_tables, _whole_files)
    return [one for maker in makers for one in maker(draw)]


def write_all(folder: Path, seed: int = 0) -> list[Malformed]:
    """Write all of them into `folder`, and give what they hold."""
    files = malformed_files(seed)
    for file in files:
        (folder / file.name).write_bytes(file.content)
    return files


def _json_lines(draw: random.Random) -> Iterator[Malformed]:
    for name, line in BAD_LINES.items():
        end = draw.choice(list(ENDS))
        if name == "csv":
            end = "lf"
        before, after = draw.randint(0, 3), draw.randint(1, 3)
        content, good = _lines_with(line, before, after, ENDS[end], last=draw.random() < 0.5)
        pack, ending = draw.choice([(_same, ""), (_same, ""), (gzip.compress, ".gz"), (_zstd, ".zst")])
        yield Malformed(f"{_slug(name)}-{end}.jsonl{ending}", pack(content), good, (before + 1,))
    every = list(BAD_LINES.values())
    lines = [line for i, bad in enumerate(every) for line in (row(i).encode(), bad, b"", b"  ")]
    bads = tuple(4 * i + 2 for i in range(len(every)))
    yield Malformed("all-at-once.jsonl", b"\n".join(lines), tuple(range(len(every))), bads)


def _lines_with(line: bytes, before: int, after: int, end: bytes, *, last: bool) -> tuple[bytes, tuple[int, ...]]:
    rows = [row(i).encode() for i in range(before + after)]
    content = end.join([*rows[:before], line, *rows[before:]]) + (end if last else b"")
    mark = b"\xef\xbb\xbf" if before else b""
    return mark + content, tuple(range(before + after))


def _json_lists(draw: random.Random) -> Iterator[Malformed]:
    for name in BAD_ENTRIES:
        before, after = draw.randint(0, 3), draw.randint(1, 3)
        entries = [row(i).encode() for i in range(before + after)]
        entries.insert(before, BAD_LINES[name])
        good, bad = tuple(range(before + after)), (before + 1,)
        yield Malformed(f"{_slug(name)}-one-line.json", b"[" + b",".join(entries) + b"]", good, bad)
        pretty = b'{"data": [\n  ' + b",\n  ".join(entries) + b'\n], "version": 1}'
        yield Malformed(f"{_slug(name)}-wrapped.json", pretty, good, bad)
    both = row(0), row(1)
    yield Malformed("list-not-closed.json", f"[{both[0]},{both[1]}".encode(), (0, 1), (1,))
    yield Malformed("entry-cut-off.json", f"[{both[0]},{both[1][:-9]}".encode(), (0,), None)
    yield Malformed("comma-missing.json", f"[{both[0]}{both[1]}]".encode(), (0, 1), ())
    yield Malformed("comma-at-the-end.json", f"[{both[0]},{both[1]},]".encode(), (0, 1), ())
    yield Malformed("closed-too-early.json", f"[{both[0]}],{both[1]}]".encode(), (0, 1), None)
    yield Malformed("two-lists.json", f"[{both[0]}]\n[{both[1]}]".encode(), (0, 1), (2,))
    yield Malformed("closed-twice.json", f"[{both[0]}}},{both[1]}]".encode(), (0, 1), (2,))
    yield Malformed("lines-by-another-name.json", f"{both[0]}\n{{bad\n{both[1]}\n".encode(), (0, 1), (2,))
    yield Malformed("one-object.json", json.dumps(json.loads(both[0]), indent=2).encode(), (0,), ())
    trees = '{"a": [' * 30_000 + "]}" * 30_000
    yield Malformed("deep-trees.json", f"[{both[0]},{trees},{both[1]}]".encode(), (0, 1), (2,))
    yield Malformed("a-number.json", b"3", (), (1,))


def _tables(draw: random.Random) -> Iterator[Malformed]:
    for name, bad in BAD_ROWS.items():
        before, after = draw.randint(0, 3), draw.randint(1, 3)
        rows = [cells(i).encode() for i in range(before + after)]
        for end, newline in ENDS.items():
            content = newline.join([b"prompt,completion", *rows[:before], bad, *rows[before:]])
            where = (before + 2, before + 3) if "two lines" in name else (before + 2,)
            yield Malformed(f"{_slug(name)}-{end}.csv", content, tuple(range(before + after)), where)
    header, rows = "prompt\tcompletion", [cells(i, "\t") for i in range(4)]
    content = "\n".join([header, rows[0], "a", rows[1], "a\tb\tc", rows[2], rows[3]])
    yield Malformed("ragged.tsv", content.encode(), (0, 1, 2, 3), (3, 5))
    yield Malformed("column-twice.csv", b"prompt,prompt\na,b\n", (), (1,))
    yield Malformed("header-only.csv", b"prompt,completion\n", (), (1,))
    yield Malformed("header-not-closed.csv", b'prompt,"completion\na,b\n', (), (1,))
    yield Malformed("header-not-utf-8.csv", b"prompt\xff,completion\na,b\n", (), (1,))
    yield Malformed("no-header-known.csv", b"q,z\na,b\n", (), (2,))
    yield Malformed("10000-columns.csv", b",".join(b"c%d" % i for i in range(10_000)) + b"\na,b\n", (), (2,))
    lone = f"prompt,completion\r{cells(0)}\r".encode()
    yield Malformed("carriage-returns.csv", lone, (), (1,))
    many = "\n".join(["prompt,completion", *('a,"b' for _ in range(50)), cells(0)])
    yield Malformed("fifty-quotes-not-closed.csv", many.encode(), (0,), None)


def _packed(draw: random.Random) -> Iterator[Malformed]:
    lines = b"".join(f"{row(i)}\n".encode() for i in range(400))
    for ending, pack, unpack in ((".gz", gzip.compress, _gunzipped), (".zst", _zstd, _unzstd)):
        whole = pack(lines)
        for share in (0.03, 0.3, 0.6, 0.9, 0.99):
            cut = whole[: int(len(whole) * share)]
            had = unpack(cut)
            good = tuple(range(had.count(b"\n")))
            yield Malformed(f"cut-at-{share}.jsonl{ending}", cut, good, (len(good) + 1,), reason="truncated")
        trailing = tuple(range(400))
        yield Malformed(
            f"bytes-after-the-end.jsonl{ending}", whole + b"no gzip, no zstd", trailing, (401,), reason="trailing bytes"
        )
        yield Malformed(f"two-members.jsonl{ending}", whole + pack(f"{row(400)}\n".encode()), (*trailing, 400), ())
        yield Malformed(f"empty-inside.jsonl{ending}", pack(b""), (), (1,))
        yield Malformed(f"no-pack-at-all.jsonl{ending}", lines, (), (1,))
        header = "".join(f"{cells(i)}\n" for i in range(50))
        table = pack(f"prompt,completion\n{header}".encode())
        yield Malformed(f"whole.csv{ending}", table, tuple(range(50)), ())
        array = pack(f"[{','.join(row(i) for i in range(50))}]".encode())
        yield Malformed(
            f"cut.json{ending}", array[: len(array) // 2], _whole_entries(unpack(array[: len(array) // 2])), None
        )
    yield Malformed("zeros-after-the-end.jsonl.gz", gzip.compress(lines) + b"\0" * 512, tuple(range(400)), ())
    yield Malformed("packed-without-saying.jsonl", gzip.compress(lines), (), (1,))
    flipped = bytearray(gzip.compress(lines))
    flipped[-6] ^= 1  # the check sum: all of the text is there
    yield Malformed("check-sum.jsonl.gz", bytes(flipped), tuple(range(400)), (401,))
    yield Malformed("huge-line.jsonl.gz", gzip.compress(_around_a_huge_line(), 1), (0, 1), (2,), reason="too long")


def _around_a_huge_line() -> bytes:
    return b"\n".join([row(0).encode(), b'{"prompt": "' + b"a" * (65 * MB) + b'"}', row(1).encode()])


def _other_encodings(draw: random.Random) -> Iterator[Malformed]:
    lines = [row(i).replace("😀", "") for i in range(3)]
    text = "\n".join(row(i) for i in range(3))
    for name in ("utf-16", "utf-16-le", "utf-16-be"):
        mark = b"" if name == "utf-16" else "\ufeff".encode(name)
        yield Malformed(f"{name}.jsonl", mark + text.encode(name), (0, 1, 2), (), "utf-16")
        yield Malformed(f"{name}-not-said.jsonl", mark + text.encode(name), (), (1,), reason="utf-16")
    broken = text.encode("utf-16").replace(
        "Antwort 1".encode("utf-16-le"), b"\x00\xd8" + "ntwort 1".encode("utf-16-le")
    )
    yield Malformed("utf-16-with-half-a-character.jsonl", broken, (0, 2), (2,), "utf-16")
    yield Malformed("utf-16-cut.jsonl", f"{row(0)}\n{row(1)}".encode("utf-16")[:-1], (0,), (2,), "utf-16")
    yield Malformed("utf-16.csv", f"prompt,completion\n{cells(0)}\n".encode("utf-16"), (0,), (), "utf-16")
    yield Malformed("gb18030.jsonl", text.encode("gb18030"), (0, 1, 2), (), "gb18030")
    yield Malformed(
        "gb18030.json", f"[{','.join(row(i) for i in range(3))}]".encode("gb18030"), (0, 1, 2), (), "gb18030"
    )
    yield Malformed("gb18030.csv", f"prompt,completion\n{cells(0)}".encode("gb18030"), (0,), (), "gb18030")
    yield Malformed("gb18030-not-said.jsonl", text.encode("gb18030"), (), (1, 2, 3))
    yield Malformed("gb18030-broken.jsonl", text.encode("gb18030") + b"\n\xff\xff", (0, 1, 2), (4,), "gb18030")
    yield Malformed("only-carriage-returns.jsonl", "\r".join(lines).encode(), (), (1,))
    yield Malformed("line-separators.jsonl", f"{row(0)}\n{row(1)}\n\u2028{row(2)}".encode(), (0, 1), (3,))


def _other_kinds(draw: random.Random) -> Iterator[Malformed]:
    noise = draw.randbytes(20_000)
    kinds = {
        "png": b"\x89PNG\r\n\x1a\n",
        "zip": b"PK\x03\x04",
        "elf": b"\x7fELF",
        "pdf": b"%PDF-1.7\n",
        "noise": b"\xfe",
    }
    for name, beginning in kinds.items():
        for ending in ("jsonl", "json", "csv", "tsv", "txt", "parquet", "arrow"):
            yield Malformed(f"{name}.{ending}", beginning + noise, (), None)


def _binary_tables(draw: random.Random) -> Iterator[Malformed]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [list(column) for column in zip(*(pair(i) for i in range(3_000)), strict=True)]
    table = pa.table({"prompt": columns[0], "completion": columns[1]})
    parquet, stream = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet, row_group_size=1_000)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=1_000):
            writer.write_batch(batch)
    everything = tuple(range(3_000))
    yield Malformed("whole.parquet", parquet.getvalue(), everything, ())
    yield Malformed("whole.arrow", stream.getvalue(), everything, ())
    for share in (0.01, 0.5, 0.99):
        size = int(len(parquet.getvalue()) * share)
        yield Malformed(f"cut-at-{share}.parquet", parquet.getvalue()[:size], (), (1,))
    yield Malformed("cut-at-0.5.arrow", stream.getvalue()[: len(stream.getvalue()) // 2], tuple(range(1_000)), (1_001,))
    yield Malformed("cut-at-0.01.arrow", stream.getvalue()[:100], (), (1,))


def _whole_files(draw: random.Random) -> Iterator[Malformed]:
    for ending in ("jsonl", "json", "csv", "tsv", "txt", "md", "parquet", "arrow", "jsonl.gz", "jsonl.zst"):
        yield Malformed(f"empty.{ending}", b"", (), (1,), reason="empty file")
    for ending in ("jsonl", "json", "csv", "tsv", "txt"):
        yield Malformed(f"blank.{ending}", b" \n\r\n  \t\n", (), (1,))
        yield Malformed(f"mark-only.{ending}", b"\xef\xbb\xbf", (), (1,))
    yield Malformed("empty-list.json", b"[]", (), (1,))
    yield Malformed("nulls.txt", b"a\0b", (), (1,))
    yield Malformed("broken.txt", b"a\xffb", (), (1,))
    yield Malformed("bad-lines.jsonl", b"{bad\n" * 20_000, (), tuple(range(1, 20_001)))


def _same(content: bytes) -> bytes:
    return content


def _zstd(content: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(content)


def _gunzipped(content: bytes) -> bytes:
    return zlib.decompressobj(31).decompress(content)


def _unzstd(content: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj().decompress(content) if content else b""


def _whole_entries(text: bytes) -> tuple[int, ...]:
    return tuple(range(text.count(b'"}')))


def _slug(name: str) -> str:
    return name.replace(" ", "-")
