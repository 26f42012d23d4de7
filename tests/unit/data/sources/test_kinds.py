"""Kinds of files: what is read from each, by which line, and what each refuses."""

import gzip
import json
from pathlib import Path

import pytest
from tests.support.read_whole import read_records

from graftwork.core.errors import NotFoundError, SpecError
from graftwork.data.records import Record
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources import READERS
from graftwork.data.sources.found import Bad, Row
from graftwork.data.sources.kinds.plain_text import MOST_CHARACTERS
from graftwork.data.sources.read import rows

ROW = '{"prompt":"u","completion":"a"}'
OTHER = '{"prompt":"v","completion":"b"}'
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


def found(path: Path, content: str | bytes, **more: str) -> list[Row | Bad]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(rows(SourceSpec(path=str(path), **more)))


def bads(path: Path, content: str | bytes, **more: str) -> list[tuple[int, str]]:
    return [(one.origin.line, one.reason) for one in found(path, content, **more) if isinstance(one, Bad)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_json_lines_are_read_whatever_their_ends_mark_and_empty_lines(tmp_path: Path, end: str, mark: str):
    content = mark + end.join([ROW, "", "  ", '{"prompt":"v\u2028","completion":"b\\r\\n"}', ""])
    assert read_pairs(tmp_path / "x.jsonl", content) == [(1, "u", "a"), (4, "v\u2028", "b\r\n")]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_json_list_is_read_with_the_number_of_each_entry(tmp_path: Path, mark: str):
    assert read_pairs(tmp_path / "x.json", f"{mark}[\n\n{ROW},\n\n{OTHER}]") == [(1, "u", "a"), (2, "v", "b")]


@pytest.mark.parametrize("key", ["data", "rows", "records", "examples", "train"])
def test_a_json_list_may_be_the_first_value_of_an_object(tmp_path: Path, key: str):
    content = f'{{"{key}": [{ROW}, {OTHER}], "version": 2}}'
    assert read_pairs(tmp_path / "x.json", content) == [(1, "u", "a"), (2, "v", "b")]


def test_one_json_object_is_one_record(tmp_path: Path):
    content = json.dumps(json.loads(ROW), indent=2)
    assert read_pairs(tmp_path / "x.json", content) == [(1, "u", "a")]


def test_objects_that_follow_each_other_are_records(tmp_path: Path):
    content = "\n".join(json.dumps(json.loads(one), indent=2) for one in (ROW, OTHER))
    assert read_pairs(tmp_path / "x.json", content) == [(1, "u", "a"), (2, "v", "b")]


def test_json_lines_that_are_called_json_are_read_by_line(tmp_path: Path):
    (first, second) = read(tmp_path / "x.json", f"{ROW}\n{OTHER}\n")
    assert (first.origin.unit, second.origin.line) == ("line", 2)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_is_read_whatever_its_ends_mark_and_empty_lines(tmp_path: Path, end: str, mark: str):
    content = mark + end.join(["prompt,completion", "u,a", "", '"v, w","say ""b"""', ""])
    assert read_pairs(tmp_path / "x.csv", content) == [(2, "u", "a"), (4, "v, w", 'say "b"')]


def test_a_table_with_tabs_is_read_and_its_quotes_need_not_close(tmp_path: Path):
    content = 'prompt\tcompletion\nu\ta\n"v" he said\tb\nw\t"c\n"x\ny"\td\n'
    assert read_pairs(tmp_path / "x.tsv", content) == [
        (2, "u", "a"),
        (3, '"v" he said', "b"),
        (4, "w", '"c'),
        (5, "x\ny", "d"),
    ]


def test_a_cell_may_hold_lines(tmp_path: Path):
    assert read_pairs(tmp_path / "x.csv", CSV + '"u\nv",a\n')[0][1:] == ("u\nv", "a")


def test_a_csv_row_that_spans_lines_is_named_by_the_line_it_begins_on(tmp_path: Path):
    assert read_pairs(tmp_path / "x.csv", CSV + '"u\nv\nw",a\nx,b\n') == [(2, "u\nv\nw", "a"), (5, "x", "b")]


def test_a_cell_may_be_as_long_as_many_chunks(tmp_path: Path):
    cell = "long " * 400_000
    assert read_pairs(tmp_path / "x.csv", f'{CSV}u,"{cell}"\nv,b\n') == [(2, "u", cell), (3, "v", "b")]


def test_an_ending_in_capitals_is_the_same_kind_of_file(tmp_path: Path):
    assert read_pairs(tmp_path / "x.JSONL", ROW) == [(1, "u", "a")]


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl.GZ", "x.ndjson.gz"])
def test_a_packed_file_is_read_as_what_is_in_it(tmp_path: Path, name: str):
    assert read_pairs(tmp_path / name, gzip.compress(f"{ROW}\n{OTHER}\n".encode())) == [(1, "u", "a"), (2, "v", "b")]


def test_an_origin_names_file_and_line(tmp_path: Path):
    (record,) = read(tmp_path / "x.jsonl", f"\n{ROW}")
    assert str(record.origin) == f"{tmp_path / 'x.jsonl'} line 2"


def test_the_same_content_has_the_same_digest_from_any_file(tmp_path: Path):
    contents = {"x.jsonl": ROW, "x.json": f"[{ROW}]", "x.csv": f"{CSV}u,a\n", "x.tsv": "prompt\tcompletion\nu\ta"}
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


def test_a_broken_entry_of_a_json_list_is_told_with_its_line(tmp_path: Path):
    said = refused(tmp_path / "x.json", f"[{ROW},\n{{!}},\n{OTHER}]")
    where = "Expecting property name enclosed in double quotes, line 2 of the file"
    assert said == [f"x.json entry 2 = '{{!}},': expected one JSON list of objects. {where}"]


def test_a_json_file_that_is_no_list_of_objects_is_refused(tmp_path: Path):
    assert refused(tmp_path / "x.json", "3") == ["x.json = '3': expected a list of objects"]
    assert refused(tmp_path / "x.json", f"[{ROW}, 3]") == ["x.json entry 2 = 3: expected a JSON object"]


def test_an_entry_of_a_json_list_is_never_called_a_line(tmp_path: Path):
    (said,) = refused(tmp_path / "x.json", f'[\n\n\n{ROW},\n\n{{"prompt":"u","completion":""}}]')
    assert said == "x.json entry 2: completion = '': expected text that is not empty"


@pytest.mark.parametrize(
    "broken",
    ['{"prompt":"x","completion":"y"', '{"prompt":"x,"completion":"y"}', '{"prompt":["x"}', '{"prompt" "x"}', "{]"],
)
def test_after_a_broken_entry_all_others_are_read(tmp_path: Path, broken: str):
    entries = found(tmp_path / "x.json", f"[{ROW}, {broken}, {OTHER}, {ROW}]")
    assert [one.data["prompt"] for one in entries if isinstance(one, Row)] == ["u", "v", "u"]
    assert any(isinstance(one, Bad) for one in entries)


def test_no_part_of_a_broken_entry_is_taken_for_an_entry(tmp_path: Path):
    good = '{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}'
    entries = found(tmp_path / "x.json", f"[{good}, {good.replace('user', 'us}er', 1)[:-1]}, {good}]")
    assert [list(one.data) for one in entries if isinstance(one, Row)] == [["messages"], ["messages"]]


def test_a_value_of_a_broken_entry_is_no_entry(tmp_path: Path):
    entries = found(tmp_path / "x.json", f'[{{"prompt": {{"prompt": "x"}} "completion": 1}}, {ROW}]')
    assert [one.data["prompt"] for one in entries if isinstance(one, Row)] == ["u"]


def test_a_row_with_another_number_of_cells_is_refused(tmp_path: Path):
    assert refused(tmp_path / "x.csv", f"{CSV}u\n\nu,a,b\n") == [
        "x.csv line 2 = ['u']: expected 2 cells, as the header has",
        "x.csv line 4 = ['u', 'a', 'b']: expected 2 cells, as the header has",
    ]


def test_a_csv_without_the_columns_of_a_layout_is_refused(tmp_path: Path):
    (said,) = refused(tmp_path / "x.csv", "a,b\nu,a\n")
    assert said.startswith("x.csv line 2 = ['a', 'b']: expected the keys of a layout we know.")


def test_a_quote_that_is_not_closed_is_refused_by_its_line_alone(tmp_path: Path):
    (said,) = refused(tmp_path / "x.csv", f'{CSV}u,a\nu,"a')
    hint = "Reading goes on at the next line."
    assert said == f"x.csv line 3 = 'unexpected end of data': expected CSV with quotes that close. {hint}"
    entries = found(tmp_path / "x.csv", f'{CSV}u,"a\nv,b\n"w","c"\n')
    assert [(type(one).__name__, one.origin.line) for one in entries] == [("Bad", 2), ("Row", 3), ("Row", 4)]


def test_a_part_of_a_refused_row_is_no_row(tmp_path: Path):
    assert bads(tmp_path / "x.csv", f'{CSV}"u said "so"\nand "left",a\nv,b\n') == [(2, "csv"), (3, "csv")]


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path):
    (said,) = refused(tmp_path / "x.csv", "prompt,prompt,completion\nu,v,a\n")
    assert said == "x.csv line 1 = ['prompt']: expected each column once"


def test_columns_without_a_name_may_be_many(tmp_path: Path):
    assert read_pairs(tmp_path / "x.csv", ",prompt,completion,,\n0,u,a,,\n") == [(2, "u", "a")]


def test_a_key_that_is_written_twice_in_a_record_is_refused(tmp_path: Path):
    assert "prompt" in refused(tmp_path / "x.jsonl", '{"prompt":"u","prompt":"v","completion":"a"}')[0]


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.txt"])
def test_what_is_no_utf_8_is_refused_by_its_line(tmp_path: Path, name: str):
    (one,) = found(tmp_path / name, (CSV if name == "x.csv" else "").encode() + b"a\xff,b")
    assert isinstance(one, Bad)
    assert (one.reason, "\\xff" in one.raw) == ("utf-8", True)


def test_a_line_in_another_encoding_says_which(tmp_path: Path):
    (one,) = found(tmp_path / "x.jsonl", '{"prompt": "客户"}'.encode("gb18030"))
    assert isinstance(one, Bad)
    assert one.message == (
        f"{tmp_path / 'x.jsonl'} line 1 = \"byte 12: b'\\\\xbf'\": expected UTF-8 text. "
        "It can be read as GB18030: set encoding: gb18030."
    )


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "utf-16"])
@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.txt"])
def test_every_encoding_is_read_in_every_kind_of_text(tmp_path: Path, encoding: str, name: str):
    contents = {"x.jsonl": '{"text": "中文"}', "x.json": '[{"text": "中文"}]', "x.csv": "text\n中文\n", "x.txt": "中文"}
    (one,) = found(tmp_path / name, contents[name].encode(encoding), encoding=encoding)
    assert isinstance(one, Row)
    assert one.data == {"text": "中文"}


def test_utf_16_that_was_not_announced_is_one_bad_file(tmp_path: Path):
    (said,) = refused(tmp_path / "x.jsonl", f"{ROW}\n{ROW}".encode("utf-16"))
    assert said.endswith("expected a text file. It begins as UTF-16 does: set encoding: utf-16, or save it as UTF-8.")


@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
def test_a_number_too_long_to_read_is_refused_by_file(tmp_path: Path, name: str):
    assert refused(tmp_path / name, "9" * 5000)[0].startswith(name)


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.jsonl", ""), ("x.jsonl", "\n \n"), ("x.json", "[]"), ("x.csv", ""), ("x.csv", CSV), ("x.txt", " \n")],
)
def test_a_file_without_records_is_refused(tmp_path: Path, name: str, content: str):
    assert refused(tmp_path / name, content) == [f"{name} = 0: expected at least one record"]


def test_a_separator_that_is_no_line_end_splits_no_csv_cell(tmp_path: Path):
    for odd in ("\u2028", "\x0c", "\x85"):
        assert read_pairs(tmp_path / "x.csv", f"{CSV}u{odd}v,a\n") == [(2, f"u{odd}v", "a")]


def test_a_text_file_is_one_record(tmp_path: Path):
    (record,) = read(tmp_path / "x.md", "# A\n\nb\n")
    assert (record.is_text, record.answer) == (True, "# A\n\nb\n")


def test_a_long_text_is_cut_where_paragraphs_end_and_nothing_is_lost(tmp_path: Path):
    text = "".join(f"Paragraph {i}: {'word ' * (i % 90)}\n\n" for i in range(12_000))
    pieces = found(tmp_path / "x.txt", text)
    assert all(isinstance(piece, Row) for piece in pieces)
    assert "".join(str(piece.data["text"]) for piece in pieces) == text
    assert len(pieces) > 2
    for piece in pieces:
        assert len(str(piece.data["text"])) <= MOST_CHARACTERS
        assert str(piece.data["text"]).startswith("Paragraph")
        assert text.split("\n")[piece.origin.line - 1] == str(piece.data["text"]).split("\n")[0]


@pytest.mark.parametrize("text", ["a" * (MOST_CHARACTERS * 2 + 5), "a \n" * MOST_CHARACTERS])
def test_a_text_without_paragraphs_is_cut_too(tmp_path: Path, text: str):
    assert "".join(str(piece.data["text"]) for piece in found(tmp_path / "x.txt", text)) == text


def test_an_unknown_ending_is_refused_with_those_there_are(tmp_path: Path):
    (said,) = refused(tmp_path / "x.docx", ROW)
    there_are = ", ".join(f".{name}" for name in READERS)
    assert said == f"data file = 'x.docx': expected a file that ends in {there_are} (text also with .gz or .zst)"


def test_a_table_cannot_be_packed(tmp_path: Path):
    assert refused(tmp_path / "x.parquet.gz", b"")[0].startswith("data file = 'x.parquet.gz'")


def test_a_file_that_is_not_there_is_refused_with_the_nearest_name(tmp_path: Path):
    (tmp_path / "tickets.jsonl").touch()
    with pytest.raises(NotFoundError) as caught:
        read_records(tmp_path / "tickest.jsonl", layout=None, system=None)
    assert str(caught.value) == f"no data file at {tmp_path / 'tickest.jsonl'}. Did you mean 'tickets.jsonl'?"
