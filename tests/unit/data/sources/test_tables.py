"""Parquet and Arrow: rows by number, labels by name, and files that are cut off."""

import json
from pathlib import Path
from typing import Any

import pytest

from graftwork.core.errors import IntegrityError, SpecError
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.found import Bad, Row
from graftwork.data.sources.read import files_of, rows, size_bytes

pa = pytest.importorskip("pyarrow")

FEATURES = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}
TOLD = {"huggingface": json.dumps({"info": {"features": FEATURES}})}


def table(num_rows: int = 3) -> Any:
    made = pa.table({"text": [f"t{i}" for i in range(num_rows)], "label": [i % 3 - 1 for i in range(num_rows)]})
    return made.replace_schema_metadata(TOLD)


def parquet(path: Path, made: Any) -> Path:
    import pyarrow.parquet as pq

    pq.write_table(made, path)
    return path


def arrow(path: Path, made: Any, *, stream: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(str(path), made.schema) as writer:
        writer.write_table(made)
    return path


def saved(folder: Path, made: Any, split: str | None = None) -> Path:
    arrow(folder / "data-00000-of-00002.arrow", made.slice(0, 2))
    arrow(folder / "data-00001-of-00002.arrow", made.slice(2))
    files = [{"filename": f"data-0000{i}-of-00002.arrow"} for i in range(2)]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": split}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def read(path: Path, **more: Any) -> list[Row | Bad]:
    return list(rows(SourceSpec(path=str(path), **more)))


@pytest.mark.parametrize("kind", ["parquet", "stream", "file"])
def test_rows_come_by_number_and_labels_by_name_but_for_those_without_one(tmp_path: Path, kind: str):
    path = tmp_path / f"x.{'parquet' if kind == 'parquet' else 'arrow'}"
    _ = parquet(path, table()) if kind == "parquet" else arrow(path, table(), stream=kind == "stream")
    found = read(path)
    assert [str(row.origin) for row in found] == [f"{path} row {i}" for i in (1, 2, 3)]
    assert [row.data for row in found] == [
        {"text": "t0", "label": -1},
        {"text": "t1", "label": "no"},
        {"text": "t2", "label": "yes"},
    ]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_progress_ends_at_the_size_of_the_file(tmp_path: Path, ending: str):
    path = tmp_path / f"x.{ending}"
    _ = parquet(path, table(5_000)) if ending == "parquet" else arrow(path, table(5_000))
    told: list[int] = []
    source = SourceSpec(path=str(path))
    assert len(list(rows(source, progress=told.append))) == 5_000
    assert sum(told) == size_bytes(source)


def test_a_column_that_is_there_twice_is_one_bad_file(tmp_path: Path):
    made = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    (one,) = read(arrow(tmp_path / "x.arrow", made))
    assert one.message == f"{tmp_path / 'x.arrow'} = ['text']: expected each column once"


def test_a_text_that_is_no_utf_8_spoils_its_own_row_only(tmp_path: Path):
    texts = pa.array([b"a", b"\xff", b"c"], pa.binary())
    texts = pa.StringArray.from_buffers(3, texts.buffers()[1], texts.buffers()[2])
    found = read(arrow(tmp_path / "x.arrow", pa.table({"text": texts})))
    assert [(type(one).__name__, one.origin.line) for one in found] == [("Row", 1), ("Bad", 2), ("Row", 3)]
    assert found[1].reason == "utf-8"


def test_a_saved_data_set_is_read_in_the_order_it_says(tmp_path: Path):
    found = read(saved(tmp_path / "set", table()))
    assert [row.data["text"] for row in found] == ["t0", "t1", "t2"]
    assert [row.origin.line for row in found] == [1, 2, 1]


def test_a_saved_set_of_splits_wants_to_know_which(tmp_path: Path):
    for name in ("train", "test"):
        saved(tmp_path / name, table(), name)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert len(read(tmp_path, split="train")) == 3
    with pytest.raises(SpecError) as caught:
        files_of(SourceSpec(path=str(tmp_path)))
    assert str(caught.value) == "split = None: expected one of train, test. Say which with split."
    with pytest.raises(SpecError) as caught:
        files_of(SourceSpec(path=str(tmp_path), split="tran"))
    assert str(caught.value) == "split = 'tran': expected one of train, test. Did you mean 'train'?"


def test_the_only_split_need_not_be_named_and_another_is_refused(tmp_path: Path):
    saved(tmp_path / "train", table(), "train")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    assert len(read(tmp_path)) == 3
    assert len(read(tmp_path / "train", split="train")) == 3
    with pytest.raises(SpecError, match="expected one of train"):
        files_of(SourceSpec(path=str(tmp_path / "train"), split="test"))


@pytest.mark.parametrize("name", ["../x.arrow", "/etc/passwd", "..", "", 3])
def test_a_saved_data_set_names_no_file_outside_of_it(tmp_path: Path, name: object):
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(IntegrityError, match="which is no file in it"):
        files_of(SourceSpec(path=str(tmp_path)))


@pytest.mark.parametrize("content", ["[]", "{}", "{bad", '{"_data_files": [{"filename": "gone.arrow"}]}'])
def test_a_saved_data_set_that_is_not_whole_is_refused_in_words(tmp_path: Path, content: str):
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(IntegrityError):
        files_of(SourceSpec(path=str(tmp_path)))


def test_an_encoding_for_a_table_is_refused(tmp_path: Path):
    path = parquet(tmp_path / "x.parquet", table())
    with pytest.raises(SpecError) as caught:
        read(path, encoding="big5")
    assert str(caught.value) == "encoding = 'big5': expected none but utf-8 with such files. x.parquet is no text."


def test_columns_of_every_kind_are_rows(tmp_path: Path):
    made = pa.table({"messages": [[{"role": "user", "content": "u"}]], "when": pa.array([0], pa.timestamp("s"))})
    (row,) = read(parquet(tmp_path / "x.parquet", made))
    assert row.data["messages"] == [{"role": "user", "content": "u"}]
