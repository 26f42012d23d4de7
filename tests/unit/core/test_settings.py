"""`--set path.to.key=value` over a recipe."""

import pytest

from graftwork.core.errors import SpecError
from graftwork.core.recipe import with_settings

RECIPE = {"name": "x", "adapter": {"method": "lora", "rank": 8}, "schedule": {"kind": "cosine", "final_frac": 0.1}}


def refused(*settings: str) -> str:
    with pytest.raises(SpecError) as caught:
        with_settings(RECIPE, settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16", 16),
        ("2e-4", 2e-4),
        ("no", "no"),
        ("010", 10),
        ("null", None),
        ("", None),
        ("a=b", "a=b"),
        ("[1, 2]", [1, 2]),
    ],
)
def test_a_setting_is_read_as_yaml(text: str, value: object):
    assert with_settings(RECIPE, [f"adapter.rank={text}"])["adapter"] == {"method": "lora", "rank": value}


def test_a_setting_makes_the_mappings_on_its_way():
    assert with_settings({}, ["training.schedule.kind=cosine"]) == {"training": {"schedule": {"kind": "cosine"}}}


def test_settings_are_laid_over_in_order():
    result = with_settings(RECIPE, ["adapter.rank=16", "adapter.rank={kind: tiered}", "adapter.rank.top=32"])
    assert result["adapter"]["rank"] == {"kind": "tiered", "top": 32}


def test_a_setting_that_changes_the_form_drops_what_belongs_to_the_old_one():
    assert with_settings(RECIPE, ["schedule.kind=constant"])["schedule"] == {"kind": "constant"}


def test_no_settings_leave_the_recipe_as_it_is():
    assert with_settings(RECIPE, []) == RECIPE


def test_settings_do_not_change_the_mapping_given():
    before = {"adapter": {"rank": 8}}
    with_settings(before, ["adapter.rank=16", "adapter.alpha=1"])
    assert before == {"adapter": {"rank": 8}}


@pytest.mark.parametrize("setting", ["rank", "=1", "a..b=1", ".a=1", "a.=1", " =1", ""])
def test_a_setting_that_names_no_key_is_refused(setting: str):
    assert refused(setting) == f"--set = {setting!r}: expected path.to.key=value. For example adapter.rank=8."


@pytest.mark.parametrize("text", ["[1", "'a", "{x: 1, x: 2}", "*y", "!!python/object:os.system x"])
def test_a_setting_whose_value_is_no_yaml_is_refused(text: str):
    assert refused(f"adapter.rank={text}") == f"--set adapter.rank = {text!r}: expected a YAML value"


@pytest.mark.parametrize("text", ["2020-13-45", "9" * 5000])
def test_a_setting_that_holds_no_possible_value_is_refused(text: str):
    assert refused(f"adapter.rank={text}").endswith(": expected a YAML value")


def test_every_wrong_setting_is_reported_together():
    assert refused("rank", "name=[", "name=ok", "=2").splitlines() == [
        "--set = 'rank': expected path.to.key=value. For example adapter.rank=8.",
        "--set name = '[': expected a YAML value",
        "--set = '=2': expected path.to.key=value. For example adapter.rank=8.",
    ]


def test_a_setting_that_goes_through_a_value_that_is_no_mapping_is_refused_as_promised():
    refused("name.sub=1")
