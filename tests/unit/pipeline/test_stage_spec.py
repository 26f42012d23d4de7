"""Stages in a recipe: what differs is said in each, what all share once, and mistakes are told where they were made."""

from typing import Any

import pytest
from pydantic import BaseModel

from graftwork.adapters.method import METHODS
from graftwork.core.errors import SpecError
from graftwork.core.recipe import mapping_of, with_settings
from graftwork.core.spec import parse, plain
from graftwork.pipeline.recipes import effective_text, grounded, recipe_digest, requested
from graftwork.pipeline.spec import RunSpec
from graftwork.pipeline.stages import specs_of

RECIPE = """\
name: a
base: b
data: {max_tokens: 512}
training: {epochs: 2, batch_size: 4}
stages:
- {name: read, data: {train: g.txt, learn: all}, training: {steps: 7}}
- {name: answer, data: {train: q.jsonl, system: Be brief.}, training: {learning_rate: 1e-4}}
"""


def read(text: str = RECIPE, *settings: str) -> RunSpec:
    return requested(with_settings(mapping_of(text, "r.yaml"), settings))


def refused(text: str, *settings: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read(text, *settings)
    return [str(problem).split(": ")[0] for problem in caught.value.problems]


def test_a_stage_has_what_it_says_and_else_what_all_share() -> None:
    first, second = read().stages
    assert (first.data.train, first.data.learn, first.data.max_tokens) == ("g.txt", "all", 512)
    assert (second.data.train, second.data.learn, second.data.max_tokens) == ("q.jsonl", "answers", 512)
    assert (first.training.batch_size, first.training.learning_rate) == (4, 5e-4)
    assert (second.training.batch_size, second.training.learning_rate) == (4, 1e-4)


def test_its_steps_replace_shared_epochs() -> None:
    first, second = read().stages
    assert (first.training.steps, first.training.epochs) == (7, None)
    assert (second.training.steps, second.training.epochs) == (None, 2.0)


def test_the_run_itself_is_its_last_stage() -> None:
    spec = read()
    assert (spec.data, spec.training) == (spec.stages[1].data, spec.stages[1].training)


def test_each_stage_alone_is_the_recipe_that_one_would_have_written() -> None:
    alone = "name: a\nbase: b\ndata: {max_tokens: 512, train: g.txt, learn: all}\ntraining: {batch_size: 4, steps: 7}\n"
    assert specs_of(read())[0] == read(alone)
    assert specs_of(read(alone)) == [read(alone)]


def test_the_effective_recipe_asks_for_the_same() -> None:
    spec = read()
    again = read(effective_text(spec))
    assert again == spec
    assert recipe_digest(again) == recipe_digest(spec)
    assert parse(RunSpec, plain(spec)) == spec
    assert not {"data", "training"} & plain(spec).keys(), "they stand in the stages"


def test_a_recipe_without_stages_has_none_in_its_text_or_digest() -> None:
    assert "stages" not in plain(read("name: a\nbase: b\ndata: {train: q.jsonl}\n"))


@pytest.mark.parametrize("method", sorted({"lora", "dora", "ia3", "bottleneck", "prompt_tuning"} & set(METHODS)))
def test_a_preset_lies_under_every_stage(method: str) -> None:
    more = f"preset: regulated\nadapter: {{method: {method}}}\n"
    stages = read(RECIPE.replace("epochs: 2", "epochs: 2, spectral_cap: null") + more).stages
    assert {stage.training.accumulation for stage in stages} == {4}
    modes = [privacy.mode for stage in stages if isinstance(privacy := stage.data.privacy, BaseModel)]
    assert modes == ["mask", "mask"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("1e-4", "fast"), ["stages[1].training.learning_rate = 'fast'"]),
        (("batch_size: 4", "batch_size: 0"), ["training.batch_size = 0"]),
        (("train: g.txt, ", ""), ["stages[0].data.train = None"]),
        (("steps: 7", "stesp: 7"), ["stages[0].training.stesp = 7"]),
        (("name: answer", "name: read"), ["stages[1].name = 'read'"]),
        (("name: answer", "name: a/b"), ["stages[1].name = 'a/b'"]),
        (("{steps: 7}", "{steps: 7, epochs: 1}"), ["stages[0].training.epochs = 1.0"]),
        (("steps: 7}", "steps: 7}, adapter: {rank: 3}"), ["stages[0].adapter = {'rank'"]),
        (("max_tokens: 512", "max_tokens: 512, train: x"), ["data.train = 'x'"]),
        (("{steps: 7}", "no"), ["stages[0].training = 'no'"]),
    ],
)
def test_a_mistake_is_told_once_and_where_it_was_made(change: tuple[str, str], expected: list[str]) -> None:
    assert RECIPE.count(change[0]) == 1
    assert refused(RECIPE.replace(*change)) == expected


def test_mistakes_of_all_stages_come_together() -> None:
    text = RECIPE.replace("1e-4", "fast").replace("steps: 7", "steps: 0").replace("batch_size: 4", "batch_size: x")
    assert refused(text) == [
        "stages[0].training.steps = 0",
        "training.batch_size = 'x'",
        "stages[1].training.learning_rate = 'fast'",
    ]


def test_a_setting_that_no_stage_would_take_is_refused() -> None:
    whole = effective_text(read())
    assert refused(whole, "training.batch_size=8") == ["training.batch_size = 8"]
    assert read(RECIPE, "training.batch_size=8").stages[0].training.batch_size == 8


@pytest.mark.parametrize("told", ["stages: 3", "stages: [3]", "stages: [{}]", "stages: [{name: x}]", "stages: {a: 1}"])
def test_stages_that_are_none_are_refused_in_words(told: str) -> None:
    assert refused(f"name: a\nbase: b\n{told}\n")


@pytest.mark.parametrize("method", ["pissa", "adalora", "full"])
def test_a_method_that_cannot_be_trained_further_is_refused(method: str) -> None:
    assert f"adapter.method = '{method}'" in refused(RECIPE + f"adapter: {{method: {method}}}\n")


def test_files_that_are_not_there_are_told_stage_by_stage(tmp_path: Any) -> None:
    (tmp_path / "q.jsonl").write_text("{}\n")
    raw, problems = grounded(mapping_of(RECIPE.replace("base: b", "base: me/b"), "r.yaml"), tmp_path)
    assert [problem.path for problem in problems] == ["stages[0].data.train"]
    assert raw["stages"][1]["data"]["train"] == str(tmp_path / "q.jsonl")
