"""Files of records: what is read from where, and what a file cannot hold."""

from pathlib import Path

import pytest

from graftwork.core.errors import NotFoundError, SpecError
from graftwork.data.records import Record
from graftwork.data.sources import read_records

ROW = '{"prompt":"u","completion":"a"}'
CSV = "prompt,completion\n"


def read(path: Path, content: str | bytes) -> list[Record]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_records(path, layout=None, system=None)


def read_pairs(path: Path, content: str | bytes) -> list[tuple[int, str, str]]:
    return [(r.origin.line, r.prompt[-1]["content"], r.answer) for r in read(path, content)]


def refused(path: Path, content: str | bytes) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read(path, content)
    return str(caught.value).replace(f"{path.parent}/", "").splitlines()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_json_lines_are_read_whatever_their_ends_mark_and_empty_lines(tmp_path: Path, end: str, mark: str):
    content = mark + end.join([ROW, "", "  ", '{"prompt":"v\u2028","completion":"b\\r\\n"}', ""])
    assert read_pairs(tmp_path / "x.jsonl", content) == [(1, "u", "a"), (4, "v\u2028", "b\r\n")]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_json_list_is_read_with_the_number_of_each_entry(tmp_path: Path, mark: str):
    content = f'{mark}[\n\n{ROW},\n\n{{"prompt":"v","completion":"b"}}]'
    assert read_pairs(tmp_path / "x.json", content) == [(1, "u", "a"), (2, "v", "b")]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_is_read_whatever_its_ends_mark_and_empty_lines(tmp_path: Path, end: str, mark: str):
    content = mark + end.join(["prompt,completion", "u,a", "", '"v, w","say ""b"""', ""])
    assert read_pairs(tmp_path / "x.csv", content) == [(2, "u", "a"), (4, "v, w", 'say "b"')]


def test_a_cell_may_hold_lines(tmp_path: Path):
    assert read_pairs(tmp_path / "x.csv", CSV + '"u\nv",a\n')[0][1:] == ("u\nv", "a")


def test_a_csv_row_that_spans_lines_is_named_by_the_line_it_begins_on(tmp_path: Path):
    assert read_pairs(tmp_path / "x.csv", CSV + '"u\nv\nw",a\nx,b\n') == [(2, "u\nv\nw", "a"), (5, "x", "b")]


def test_an_ending_in_capitals_is_the_same_kind_of_file(tmp_path: Path):
    assert read_pairs(tmp_path / "x.JSONL", ROW) == [(1, "u", "a")]


def test_an_origin_names_file_and_line(tmp_path: Path):
    (record,) = read(tmp_path / "x.jsonl", f"\n{ROW}")
    assert str(record.origin) == f"{tmp_path / 'x.jsonl'} line 2"


def test_the_same_content_has_the_same_digest_from_any_file(tmp_path: Path):
    contents = {"x.jsonl": ROW, "x.json": f"[{ROW}]", "x.csv": f"{CSV}u,a\n"}
    assert len({read(tmp_path / name, content)[0].digest for name, content in contents.items()}) == 1


def test_everything_wrong_with_a_file_is_reported_at_once(tmp_path: Path):
    content = "\n".join([ROW, "{bad", "[1]", '{"prompt":"u"}', '{"prompt":3,"completion":"a"}', ROW])
    said = sorted(refused(tmp_path / "x.jsonl", content))
    assert [line.split(" = ")[0] for line in said] == [
        "x.jsonl line 2",
        "x.jsonl line 3",
        "x.jsonl line 4: completion",
        "x.jsonl line 5: prompt",
    ]


def test_a_broken_line_does_not_hide_behind_a_layout_that_is_not_known(tmp_path: Path):
    said = refused(tmp_path / "x.jsonl", '{"zzz":1}\n{bad\n')
    assert [line.split(" = ")[0] for line in said] == ["x.jsonl line 1", "x.jsonl line 2"]


def test_a_broken_line_is_shown_with_its_number(tmp_path: Path):
    (said,) = refused(tmp_path / "x.jsonl", f'{ROW}\n{{"prompt": }}\n')
    reason = "Expecting value: line 1 column 12 (char 11)"
    assert said == f"x.jsonl line 2 = '{{\"prompt\": }}': expected one JSON object a line. {reason}"


def test_a_line_that_is_no_object_is_refused(tmp_path: Path):
    assert refused(tmp_path / "x.jsonl", "[1]") == ["x.jsonl line 1 = '[1]': expected a JSON object"]


def test_a_broken_json_file_is_refused_with_its_line(tmp_path: Path):
    (said,) = refused(tmp_path / "x.json", f"[{ROW},\n{{]")
    assert said.startswith("x.json line 2 = ")
    assert "expected one JSON list of objects" in said


def test_a_json_file_that_is_no_list_of_objects_is_refused(tmp_path: Path):
    assert refused(tmp_path / "x.json", "{}") == ["x.json = '{}': expected a list of objects"]
    assert refused(tmp_path / "x.json", f"[{ROW}, 3]") == ["x.json entry 2 = 3: expected a JSON object"]


def test_an_entry_of_a_json_list_is_never_called_a_line(tmp_path: Path):
    (said,) = refused(tmp_path / "x.json", f'[\n\n\n{ROW},\n\n{{"prompt":"u","completion":""}}]')
    assert said == "x.json entry 2: completion = '': expected text that is not empty"


def test_a_row_with_another_number_of_cells_is_refused(tmp_path: Path):
    assert refused(tmp_path / "x.csv", f"{CSV}u\n\nu,a,b\n") == [
        "x.csv line 2 = ['u']: expected 2 cells, as the header has",
        "x.csv line 4 = ['u', 'a', 'b']: expected 2 cells, as the header has",
    ]


def test_a_csv_without_the_columns_of_a_layout_is_refused(tmp_path: Path):
    (said,) = refused(tmp_path / "x.csv", "a,b\nu,a\n")
    assert said.startswith("x.csv line 2 = ['a', 'b']: expected the keys of a layout we know.")


def test_a_quote_that_is_not_closed_is_refused(tmp_path: Path):
    (said,) = refused(tmp_path / "x.csv", f'{CSV}u,a\nu,"a')
    assert said == "x.csv line 3 = 'unexpected end of data': expected CSV with quotes that close"


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path):
    assert "prompt" in refused(tmp_path / "x.csv", "prompt,prompt,completion\nu,v,a\n")[0]


def test_a_key_that_is_written_twice_in_a_record_is_refused(tmp_path: Path):
    assert "prompt" in refused(tmp_path / "x.jsonl", '{"prompt":"u","prompt":"v","completion":"a"}')[0]


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv"])
@pytest.mark.parametrize("content", [b"\xff", b"\xff\xfe[\x00"])
def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path, name: str, content: bytes):
    (said,) = refused(tmp_path / name, content)
    assert said == f"{name} = 'byte 0': expected UTF-8 text. invalid start byte"


def test_the_place_of_a_byte_that_is_not_utf_8_is_counted_from_the_start_of_the_file(tmp_path: Path):
    good = f"{ROW}\n".encode() * 1000
    (said,) = refused(tmp_path / "x.jsonl", good + b"\xff\n")
    assert f"byte {len(good)}'" in said or "line 1001" in said


def test_half_a_character_is_refused_by_file_and_line(tmp_path: Path):
    said = refused(tmp_path / "x.jsonl", f'{ROW}\n{{"prompt":"\\ud800","completion":"a"}}\n')
    assert said[0].startswith("x.jsonl line 2")


@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
def test_a_number_too_long_to_read_is_refused_by_file(tmp_path: Path, name: str):
    assert refused(tmp_path / name, "9" * 5000)[0].startswith(name)


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.jsonl", ""), ("x.jsonl", "\n \n"), ("x.json", "[]"), ("x.csv", ""), ("x.csv", CSV)],
)
def test_a_file_without_records_is_refused(tmp_path: Path, name: str, content: str):
    assert refused(tmp_path / name, content) == [f"{name} = 0: expected at least one record"]


def test_an_unknown_ending_is_refused_with_those_there_are(tmp_path: Path):
    (said,) = refused(tmp_path / "x.txt", ROW)
    assert said == "data file = 'x.txt': expected a file that ends in .csv, .json, .jsonl"


def test_a_file_that_is_not_there_is_refused_with_the_nearest_name(tmp_path: Path):
    (tmp_path / "tickets.jsonl").touch()
    with pytest.raises(NotFoundError) as caught:
        read_records(tmp_path / "tickest.jsonl", layout=None, system=None)
    assert str(caught.value) == f"no data file at {tmp_path / 'tickest.jsonl'}. Did you mean 'tickets.jsonl'?"


def test_a_folder_is_no_data_file(tmp_path: Path):
    with pytest.raises(NotFoundError, match="no data file at"):
        read_records(tmp_path, layout=None, system=None)


def test_a_separator_that_is_no_line_end_splits_no_csv_cell(tmp_path: Path):
    for odd in ("\u2028", "\x0c", "\x85"):
        text = f"{CSV}u{odd}v,a\n"
        assert read_pairs(tmp_path / "x.csv", text) == [(2, f"u{odd}v", "a")]
