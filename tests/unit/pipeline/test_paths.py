"""Paths in a recipe: where they are looked for, and what becomes of them."""

from pathlib import Path

import pytest

from graftwork.core.errors import NotFoundError, SpecError
from graftwork.pipeline.recipes import effective_text, find_file, read_request, recipe_digest


def recipe(folder: Path, text: str = "", *, base: str = "bundled:x", train: str = "t.jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "t.jsonl").touch()
    (folder / "r.yaml").write_text(f"name: a\nbase: {base}\ndata: {{train: {train}}}\n{text}")
    return folder / "r.yaml"


def refused(path: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read_request(path)
    return str(caught.value).splitlines()


def test_a_recipe_is_read_with_settings_over_it_and_whole_paths(tmp_path: Path):
    spec = read_request(recipe(tmp_path, "training: {steps: 3}"), ["training.steps=5", "adapter.rank=2"])
    assert (spec.name, spec.training.steps, spec.adapter.rank) == ("a", 5, 2)
    assert spec.data.train == str((tmp_path / "t.jsonl").resolve())


def test_an_effective_recipe_asks_for_the_same_run_from_any_folder(tmp_path: Path):
    spec = read_request(recipe(tmp_path / "one"))
    (tmp_path / "two.yaml").write_text(effective_text(spec), "utf-8")
    assert read_request(tmp_path / "two.yaml") == spec
    assert recipe_digest(read_request(tmp_path / "two.yaml")) == recipe_digest(spec)


def test_a_recipe_has_the_same_digest_wherever_it_lies(tmp_path: Path):
    one, two = (read_request(recipe(tmp_path / name)) for name in ("one", "two"))
    assert one != two
    assert recipe_digest(one) == recipe_digest(two)
    assert recipe_digest(one) != recipe_digest(read_request(recipe(tmp_path / "one"), ["adapter.rank=3"]))


def test_data_files_that_are_not_there_are_named_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    said = refused(recipe(tmp_path, "dtype: float23", train="tt.jsonl, evaluation: zzz.csv"))
    assert said == [
        "dtype = 'float23': expected 'bfloat16', 'float16' or 'float32'. Did you mean 'float32'?",
        (
            f"data.train = 'tt.jsonl': expected a file that is there. Looked at {tmp_path / 'tt.jsonl'}. "
            "Did you mean 't.jsonl'?"
        ),
        f"data.evaluation = 'zzz.csv': expected a file that is there. Looked at {tmp_path / 'zzz.csv'}.",
    ]


def test_a_base_that_is_a_folder_beside_the_recipe_becomes_a_whole_path(tmp_path: Path):
    (tmp_path / "model").mkdir()
    assert read_request(recipe(tmp_path, base="model")).base == str((tmp_path / "model").resolve())
    assert read_request(recipe(tmp_path, base="owner/name@main")).base == "owner/name@main"


def test_two_bases_of_one_name_at_both_places_are_refused_as_data_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in ("here", "near"):
        (tmp_path / folder / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    (said,) = refused(recipe(tmp_path / "near", base="model"))
    assert said.startswith("base = 'model': expected one ")


@pytest.mark.parametrize("base", ["~no-such-user/model", '"a\\0b"', "x" * 300])
def test_a_base_that_no_folder_can_have_raises_nothing_but_our_errors(tmp_path: Path, base: str):
    try:
        read_request(recipe(tmp_path, base=base))
    except SpecError as error:
        assert error.problems[0].path == "base"  # noqa: PT017  to take it for an id would do as well


def test_a_file_beside_the_recipe_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "near" / "data").mkdir(parents=True)
    (tmp_path / "near" / "data" / "t.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    found = find_file("data/t.jsonl", tmp_path / "near")
    assert found == (tmp_path / "near" / "data" / "t.jsonl").resolve()


def test_a_file_from_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "t.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    assert find_file("t.jsonl", tmp_path / "near") == (tmp_path / "t.jsonl").resolve()


def test_a_file_with_its_whole_path_is_found(tmp_path: Path):
    (tmp_path / "t.jsonl").touch()
    assert find_file(str(tmp_path / "t.jsonl"), tmp_path / "near") == (tmp_path / "t.jsonl").resolve()


def test_the_same_file_at_both_places_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "t.jsonl").touch()
    (tmp_path / "near").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find_file("t.jsonl", tmp_path / "near") == (tmp_path / "t.jsonl").resolve()


def test_two_files_of_one_name_at_both_places_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = recipe(tmp_path / "near")
    (tmp_path / "t.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    hint = f"There are {tmp_path / 'near' / 't.jsonl'} and {tmp_path / 't.jsonl'}; give the whole path."
    assert refused(path) == [f"data.train = 't.jsonl': expected one file. {hint}"]


def test_a_file_at_neither_place_is_refused_with_the_nearest_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "tickets.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError) as caught:
        find_file("tickest.jsonl", tmp_path / "near")
    looked = f"{tmp_path / 'near' / 'tickest.jsonl'} and {tmp_path / 'tickest.jsonl'}"
    assert str(caught.value) == f"Looked at {looked}. Did you mean 'tickets.jsonl'?"


@pytest.mark.parametrize("asked", ["~no-such-user/t.jsonl", "a\0b", "x" * 300])
def test_a_path_that_no_file_can_have_is_refused_in_our_words(tmp_path: Path, asked: str):
    with pytest.raises((NotFoundError, SpecError)):
        find_file(asked, tmp_path)
