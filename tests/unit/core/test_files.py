"""Files that are there whole or not at all."""

import json
from pathlib import Path

import pytest

from graftwork.core.errors import IntegrityError, NotFoundError
from graftwork.core.files import read_json, write_bytes, write_json, write_jsonl, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole_into_a_folder_that_was_not_there(tmp_path: Path):
    write_bytes(tmp_path / "a" / "b" / "x.bin", b"\x00\xff")
    assert (tmp_path / "a" / "b" / "x.bin").read_bytes() == b"\x00\xff"
    assert names(tmp_path / "a" / "b") == ["x.bin"]


def test_a_file_that_is_there_is_replaced(tmp_path: Path):
    write_text(tmp_path / "x", "a long old text")
    write_text(tmp_path / "x", "né")
    assert (tmp_path / "x").read_bytes() == "né".encode()
    assert names(tmp_path) == ["x"]


def test_a_write_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    write_bytes(tmp_path / "x", b"old")
    with pytest.raises(TypeError):
        write_bytes(tmp_path / "x", "text is no bytes")  # type: ignore[arg-type]
    assert (tmp_path / "x").read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_a_write_that_fails_at_its_last_step_leaves_no_temporary_file(tmp_path: Path):
    (tmp_path / "x").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_bytes(tmp_path / "x", b"new")
    assert names(tmp_path) == ["x"]


def test_a_value_that_json_cannot_hold_leaves_the_old_file(tmp_path: Path):
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert read_json(tmp_path / "x.json") == {"a": 1}
    assert names(tmp_path) == ["x.json"]


def test_rows_that_end_in_an_exception_leave_the_old_file(tmp_path: Path):
    write_text(tmp_path / "x.jsonl", "old")
    with pytest.raises(ZeroDivisionError):
        write_jsonl(tmp_path / "x.jsonl", ({"a": 1 // n} for n in (1, 0)))
    assert (tmp_path / "x.jsonl").read_text() == "old"


def test_rows_are_written_one_a_line_with_a_line_end_after_the_last(tmp_path: Path):
    write_jsonl(tmp_path / "x.jsonl", [{"a": "é\n"}, {}])
    assert (tmp_path / "x.jsonl").read_text("utf-8") == '{"a": "é\\n"}\n{}\n'


def test_written_json_reads_back(tmp_path: Path):
    write_json(tmp_path / "x.json", {"b": [1, None, "中"], "a": {}})
    assert read_json(tmp_path / "x.json") == {"b": [1, None, "中"], "a": {}}
    assert (tmp_path / "x.json").read_text("utf-8").endswith("}\n")


def test_reading_a_file_that_is_not_there_says_so(tmp_path: Path):
    with pytest.raises(NotFoundError) as caught:
        read_json(tmp_path / "x.json")
    assert str(caught.value) == f"{tmp_path / 'x.json'} is not there, or is no file."


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe", b"[" * 100_000, b"9" * 5000])
def test_a_file_that_is_no_whole_json_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(IntegrityError) as caught:
        read_json(tmp_path / "x.json")
    assert str(caught.value).startswith(f"{tmp_path / 'x.json'} is not whole JSON (")
    assert str(caught.value).endswith("). Restore it from where it came.")


def test_what_is_written_can_be_read_by_other_programs(tmp_path: Path):
    write_json(tmp_path / "x.json", {"a": 1})
    assert json.loads((tmp_path / "x.json").read_bytes()) == {"a": 1}
