"""From a recipe file to a request: preset under it, settings over it."""

from pathlib import Path
from typing import Any, get_args

import pytest

from graftwork.core.digests import digest
from graftwork.core.errors import SpecError
from graftwork.core.recipe import mapping_of
from graftwork.core.spec import plain
from graftwork.pipeline.recipes import effective_text, preset, requested
from graftwork.pipeline.spec import PresetName

PRESETS = get_args(PresetName)
NEEDED = "expected a value; it has no default"
RANK = "Directions the update may use: a number, or a plan such as {kind: tiered}. 8 to 64 are usual."
BASE = "The frozen model: bundled:smollm2-135m-instruct, a folder, or a Hugging Face id with @revision."
RECIPE = "name: a\nbase: b\ndata: {train: t.jsonl}\n"


def raw(more: str = "") -> dict[str, Any]:
    return mapping_of(RECIPE + more, "r.yaml")


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: tuple(value) if isinstance(value, list) else value}
    return {p: v for key, inner in value.items() for p, v in leaves(inner, f"{path}.{key}").items()}


def refused(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        requested(mapping_of(text, "r.yaml"))
    return str(caught.value).splitlines()


def test_the_presets_shipped_are_those_that_can_be_named():
    shipped = Path(__file__).parents[3] / "src" / "graftwork" / "pipeline" / "presets"
    assert sorted(path.stem for path in shipped.glob("*")) == sorted(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_every_value_of_a_preset_reaches_the_effective_recipe(name: str):
    effective = leaves(mapping_of(effective_text(requested(raw(f"preset: {name}"))), "r.yaml"))
    given = leaves(preset(name))
    assert len(given) > 10
    assert {path: effective.get(path) for path in given} == given
    assert effective[".preset"] == name


def test_presets_are_really_different():
    adapters = [requested(raw(f"preset: {name}")) for name in PRESETS]
    assert len({digest({**plain(spec), "preset": ""}) for spec in adapters}) == len(PRESETS)
    assert len({digest(spec.adapter) for spec in adapters}) == len(PRESETS)
    assert len({digest(spec.training) for spec in adapters}) == len(PRESETS)


def test_a_recipe_that_names_no_preset_starts_from_no_regret():
    assert requested(raw()) == requested(raw("preset: no-regret"))
    assert requested(raw()).training.learning_rate == 5e-4


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_recipe_says_wins_over_its_preset(name: str):
    more = "adapter: {rank: 5, alpha: 1}\ntraining: {learning_rate: 2e-4, schedule: {kind: cosine}, batch_size: 3}\n"
    spec = requested(raw(f"preset: {name}\n{more}"))
    assert (spec.adapter.rank, spec.adapter.alpha, spec.training.batch_size) == (5, 1.0, 3)
    assert spec.training.learning_rate == 2e-4
    assert spec.training.schedule.kind == "cosine"


def test_another_kind_of_schedule_or_rank_drops_what_the_preset_says_of_its_own():
    more = "preset: regulated\nadapter: {rank: {kind: uniform, rank: 3}}\ntraining: {schedule: {kind: constant}}"
    spec = requested(raw(more))
    assert plain(spec)["training"]["schedule"] == {"kind": "constant", "warmup_frac": 0.0}  # type: ignore[index]
    assert plain(spec)["adapter"]["rank"] == {"kind": "uniform", "rank": 3}  # type: ignore[index]


def test_an_unknown_preset_is_refused_together_with_other_mistakes():
    assert refused("name: a\npreset: no-regert\nadapter: {rank: 0}\ndta: 1\n") == [
        "preset = 'no-regert': expected one of regulated, no-regret, rl, light. Did you mean 'no-regret'?",
        f"base = None: {NEEDED}. {BASE}",
        "data = None: expected a value; it has no default. Where records come from.",
        f"adapter.rank = 0: expected a value >= 1. {RANK}",
        "dta = 1: expected no such key. Did you mean 'data'?",
    ]


@pytest.mark.parametrize("name", ["null", "[rl]", "{rl: 1}", "1", "''"])
def test_a_preset_that_is_no_name_is_refused(name: str):
    (said,) = refused(RECIPE + f"preset: {name}\n")
    assert said.startswith("preset = ")
    assert "expected one of regulated, no-regret, rl, light" in said


@pytest.mark.parametrize("name", PRESETS)
def test_an_effective_recipe_read_back_asks_for_the_same_run(name: str):
    data = "data: {train: 'no', evaluation: '010', system: \"a: b\\n 2e-4 #é \"}\n"
    spec = requested(mapping_of(f"name: '1e3'\nbase: '~'\npreset: {name}\n{data}training: {{seed: {2**62 - 1}}}", "r"))
    again = requested(mapping_of(effective_text(spec), "r.yaml"))
    assert again == spec
    assert digest(again) == digest(spec)


def test_an_effective_recipe_says_what_it_is():
    first = effective_text(requested(raw())).splitlines()[0]
    said = "every value that holds, preset included. Feed it back and the same run is asked for."
    assert first == f"# The effective recipe: {said}"


def test_a_date_is_the_text_that_was_written():
    assert requested(mapping_of("name: 2024-01-31\nbase: b\ndata: {train: 2024-01-31}", "r.yaml")).name == "2024-01-31"


@pytest.mark.parametrize("odd", ["{? [a, b] : 1}", "{2020-01-01: 1}", "&a {x: *a}"])
def test_yaml_that_no_json_can_hold_is_refused(odd: str):
    assert refused(f"{RECIPE}training: {odd}\n")


@pytest.mark.parametrize("odd", ["!!set {a, b}", "!!binary aGVsbG8="])
def test_yaml_that_is_no_text_is_never_taken_for_text(odd: str):
    assert refused(f"name: a\nbase: b\ndata: {{train: {odd}}}\n")


def test_half_a_character_is_refused_where_it_is():
    (said,) = refused('name: a\nbase: "\\ud800"\ndata: {train: t}\n')
    assert said.startswith("base = ")
