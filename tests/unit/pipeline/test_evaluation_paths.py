"""Files that dimensions name lie beside the recipe, are missed in words, and are part of what was evaluated."""

import pytest

from graftwork.core.errors import SpecError
from graftwork.pipeline.evaluation_paths import digests_of_files
from graftwork.pipeline.recipes import read_request, recipe_digest

RECIPE = """
name: paths
base: org/model
data: {{train: own.jsonl}}
adapter: {{method: lora}}
evaluation:
  dimensions:
  - accuracy
  - {{kind: safety, canaries: {canaries}, lexicons: [words.txt]}}
  - {{kind: consistency, pronoun_pairs: [a.txt, b.txt]}}
"""
FILES = ("own.jsonl", "canaries.jsonl", "words.txt", "a.txt", "b.txt")


def written(folder, canaries="canaries.jsonl"):
    folder.mkdir(exist_ok=True)
    for name in FILES:
        (folder / name).write_text(name, "utf-8")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(canaries=canaries), "utf-8")
    return path


def test_files_of_dimensions_are_found_beside_the_recipe(tmp_path):
    spec = read_request(written(tmp_path))
    _, safety, consistency = spec.evaluation.dimensions
    assert safety.canaries == str(tmp_path / "canaries.jsonl")
    assert safety.lexicons == (str(tmp_path / "words.txt"),)
    assert consistency.pronoun_pairs == (str(tmp_path / "a.txt"), str(tmp_path / "b.txt"))


def test_a_file_that_is_not_there_is_told_with_its_place_and_the_nearest_name(tmp_path):
    with pytest.raises(SpecError) as refused:
        read_request(written(tmp_path, canaries="canary.jsonl"))
    (problem,) = refused.value.problems
    assert problem.path == "evaluation.dimensions[1].canaries"
    assert "canaries.jsonl" in problem.hint


def test_the_digest_of_a_recipe_does_not_know_where_its_files_lie(tmp_path):
    here, there = (read_request(written(tmp_path / name)) for name in ("here", "there"))
    assert recipe_digest(here) == recipe_digest(there)


def test_a_file_that_changes_changes_what_an_evaluation_is_made_of(tmp_path):
    spec = read_request(written(tmp_path))
    before = digests_of_files(spec.evaluation)
    assert set(before) == {
        "evaluation.dimensions[1].canaries",
        "evaluation.dimensions[1].lexicons[0]",
        "evaluation.dimensions[2].pronoun_pairs[0]",
        "evaluation.dimensions[2].pronoun_pairs[1]",
    }
    (tmp_path / "words.txt").write_text("others", "utf-8")
    after = digests_of_files(spec.evaluation)
    assert [key for key in before if before[key] != after[key]] == ["evaluation.dimensions[1].lexicons[0]"]
