"""Sources: which files they have, what they rename, what they refuse before reading."""

import gzip
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graftwork.core.errors import NotFoundError, SpecError
from graftwork.core.spec import parse, plain
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.found import Bad, Row
from graftwork.data.sources.read import files_of, rows, size_bytes

ROW = '{"prompt":"u","completion":"a"}\n'


def refused(**asked: Any) -> str:
    with pytest.raises((SpecError, NotFoundError)) as caught:
        files_of(parse(SourceSpec, asked))
    return str(caught.value)


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(ROW)


def test_a_folder_is_all_of_its_files_by_name_but_for_hidden_ones(tmp_path: Path):
    write(tmp_path, "b.jsonl", "a.jsonl", "deep/c.ndjson", ".hidden.jsonl", ".git/d.txt")
    names = [str(path.relative_to(tmp_path)) for path in files_of(SourceSpec(path=str(tmp_path)))]
    assert names == ["a.jsonl", "b.jsonl", "deep/c.ndjson"]


def test_a_pattern_says_which_files_of_a_folder(tmp_path: Path):
    write(tmp_path, "a.jsonl", "b.txt", "deep/c.jsonl")
    assert [path.name for path in files_of(SourceSpec(path=str(tmp_path), files="*.jsonl"))] == ["a.jsonl"]
    assert len(files_of(SourceSpec(path=str(tmp_path), files="**/*.jsonl"))) == 2


def test_packed_and_plain_files_are_of_one_kind(tmp_path: Path):
    write(tmp_path, "a.jsonl")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(ROW.encode()))
    assert [one.origin.file for one in rows(SourceSpec(path=str(tmp_path)))] == [
        str(tmp_path / "a.jsonl"),
        str(tmp_path / "b.jsonl.gz"),
    ]


def test_a_folder_of_several_kinds_is_refused(tmp_path: Path):
    write(tmp_path, "a.jsonl", "b.csv")
    assert refused(path=str(tmp_path)) == (
        f"data folder = '{tmp_path}': expected files of one kind, not JSON lines, CSV. "
        'Say which files to read with files, such as "*.jsonl".'
    )


def test_a_file_of_no_known_kind_in_a_folder_is_not_passed_over(tmp_path: Path):
    write(tmp_path, "a.jsonl", "b.docx")
    assert "b.docx': expected a file that ends in .arrow, .csv" in refused(path=str(tmp_path))


def test_an_empty_folder_and_a_pattern_that_matches_nothing_are_refused(tmp_path: Path):
    assert refused(path=str(tmp_path)) == f"no data file in {tmp_path}."
    write(tmp_path, "tickets.jsonl")
    said = refused(path=str(tmp_path), files="ticket.jsonl")
    assert said == f"no data file like 'ticket.jsonl' in {tmp_path}. Did you mean 'tickets.jsonl'?"


@pytest.mark.parametrize("pattern", ["../*.jsonl", "/etc/*", "a/../../b"])
def test_a_pattern_stays_in_its_folder(tmp_path: Path, pattern: str):
    said = refused(path=str(tmp_path), files=pattern)
    assert said == f'files = {pattern!r}: expected a pattern for files in the folder. Such as "*.jsonl" or "**/*.txt".'


@pytest.mark.parametrize("asked", [{"files": "*.jsonl"}, {"split": "train"}])
def test_what_means_nothing_for_a_file_is_refused(tmp_path: Path, asked: dict[str, str]):
    write(tmp_path, "a.jsonl")
    ((key, value),) = asked.items()
    said = refused(path=str(tmp_path / "a.jsonl"), **asked)
    assert said == f"{key} = {value!r}: expected none with a single file"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"path": "x", "subset": "a"}, "subset = 'a': expected none but with hf:owner/name"),
        ({"path": "hf:a/b/c"}, "path = 'hf:a/b/c': expected hf:owner/name or hf:owner/name@revision"),
        (
            {"path": "hf:a/b", "files": "*"},
            "files = '*': expected none with a data set from the hub. Use subset and split.",
        ),
        ({"path": "x", "layout": "chatt"}, "layout = 'chatt': expected one of alpaca, chat, "),
        (
            {"path": "x", "fields": {"promt": "q"}},
            "fields.promt = 'q': expected a key of a layout. Did you mean 'prompt'?",
        ),
        (
            {"path": "x", "layout": "text", "fields": {"answer": "q"}},
            "fields.answer = 'q': expected a key of the layout text. Keys: text.",
        ),
        (
            {"path": "x", "fields": {"prompt": "q", "completion": "q"}},
            "fields = ['q']: expected each key of the data once",
        ),
        (
            {"path": "x", "layout": "chat", "labels": {"0": "no"}},
            "labels = {'0': 'no'}: expected none with the layout chat. It has no label.",
        ),
        ({"path": "x", "weight": 0}, "weight = 0: expected a value >= 0.01."),
        ({"path": "x", "encoding": "gb2312"}, "encoding = 'gb2312': expected 'utf-8', 'gb18030', 'big5' or 'utf-16'."),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(asked: dict[str, Any], said: str):
    with pytest.raises(SpecError) as caught:
        parse(SourceSpec, asked)
    assert str(caught.value).startswith(said)


def test_a_source_written_out_is_read_again_the_same():
    source = parse(
        SourceSpec, {"path": "x", "fields": {"text": "TEXT"}, "labels": {"0": "no"}, "layout": "classification"}
    )
    assert parse(SourceSpec, plain(source)) == source


def test_every_field_of_a_source_says_what_it_is():
    assert all(field.description for field in SourceSpec.model_fields.values())


def test_fields_rename_keys_also_in_a_circle_and_keep_the_others(tmp_path: Path):
    (tmp_path / "x.jsonl").write_text('{"question": "q", "answer": "a", "more": 1}\n')
    source = SourceSpec(path=str(tmp_path / "x.jsonl"), fields={"question": "answer", "answer": "question"})
    (row,) = rows(source)
    assert isinstance(row, Row)
    assert row.data == {"question": "a", "answer": "q", "more": 1}


def test_a_row_without_a_field_is_bad_with_the_nearest(tmp_path: Path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"TEXT": "t"}\n{"TEX": "t"}\n')
    good, bad = rows(SourceSpec(path=str(path), fields={"text": "TEXT"}))
    assert isinstance(good, Row)
    assert good.data == {"text": "t"}
    assert isinstance(bad, Bad)
    assert bad.reason == "layout"
    assert bad.message == (
        f"{path} line 2: TEXT = ['TEX']: expected a key TEXT, which fields names for text. Did you mean 'TEX'?"
    )


def test_rows_come_lazily_and_progress_tells_of_all_bytes(tmp_path: Path):
    path = tmp_path / "x.jsonl"
    path.write_text(ROW * 50_000)
    told: list[int] = []
    source = SourceSpec(path=str(path))
    found = rows(source, progress=told.append)
    assert told == []
    next(found)
    assert 0 < sum(told) < size_bytes(source)
    assert sum(1 for _ in found) == 49_999
    assert sum(told) == size_bytes(source) == path.stat().st_size


def test_a_file_that_cannot_be_read_is_one_bad_file_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path, "a.jsonl", "b.jsonl")
    source = SourceSpec(path=str(tmp_path))
    found = rows(source)
    (tmp_path / "a.jsonl").unlink()
    first, second = found
    assert isinstance(first, Bad)
    assert first.reason == "unreadable"
    assert first.message == f"{tmp_path / 'a.jsonl'} = 'No such file or directory': expected a file that can be read"
    assert isinstance(second, Row)


def test_rows_and_bad_rows_travel_between_processes(tmp_path: Path):
    (tmp_path / "x.jsonl").write_text(f"{ROW}{{bad\n")
    found = list(rows(SourceSpec(path=str(tmp_path / "x.jsonl"))))
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_hub_is_only_asked_with_its_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    source = SourceSpec(path="hf:owner/name@main", split="train")
    assert files_of(source) == []
    assert size_bytes(source) == 0
    with pytest.raises(NotFoundError) as caught:
        rows(source)
    assert str(caught.value) == "hf:owner/name@main needs the package datasets: pip install 'graftwork[hub]'"


PROGRAM = """
import resource, sys
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.read import rows
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = sum(1 for _ in rows(SourceSpec(path=sys.argv[1])))
print(found, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.json.gz", "x.csv.gz", "x.txt.gz"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str):
    head, one, tail = {
        "x.jsonl.gz": (b"", ROW.encode(), b""),
        "x.json.gz": (b"[", ROW.encode().replace(b"\n", b",\n"), b"{}]"),
        "x.csv.gz": (b"prompt,completion\n", b'"a question, or two","an answer"\n', b""),
        "x.txt.gz": (b"", b"a word in a long text " * 6 + b"\n\n", b""),
    }[name]
    with gzip.open(tmp_path / name, "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(20):
            file.write(one * 20_000)
        file.write(tail)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / name)]
    found, grown_mb = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(found) >= (400_000 if name != "x.txt.gz" else 50)
    assert int(grown_mb) < 16


def test_a_line_that_is_too_long_is_not_held(tmp_path: Path):
    with gzip.open(tmp_path / "x.jsonl.gz", "wb", compresslevel=1) as file:
        for _ in range(240):
            file.write(b"a" * (1 << 20))
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "x.jsonl.gz")]
    found, grown_mb = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(found) == 1
    assert int(grown_mb) < 120
