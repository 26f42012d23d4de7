"""`graftwork canaries make`: the file, what to write into a recipe, and what is refused."""

import json

from graftwork.cli.main import called
from graftwork.evaluation.canaries import read_canaries


def test_it_writes_canaries_and_says_how_they_are_used(tmp_path, capsys):
    path = tmp_path / "planted" / "c.jsonl"
    assert called(["canaries", "make", str(path), "--num", "6"]) == 0
    assert len(read_canaries(str(path))) == 6
    said = capsys.readouterr().out
    assert f"{{path: {path}, weight: 10}}" in said
    assert f"[{{kind: safety, canaries: {path}}}]" in said


def test_json_names_them_and_a_file_that_is_there_is_never_written_over(tmp_path, capsys):
    path = tmp_path / "c.jsonl"
    assert called(["canaries", "make", str(path), "--num", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["num"], len(told["ids"])) == (2, 2)
    before = path.read_bytes()
    assert called(["canaries", "make", str(path)]) != 0
    assert "is there already" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_more_than_can_be_told_apart_are_refused(tmp_path, capsys):
    assert called(["canaries", "make", str(tmp_path / "c.jsonl"), "--num", "65"]) == 2
    assert "1 to 64" in capsys.readouterr().err
    assert not (tmp_path / "c.jsonl").exists()
