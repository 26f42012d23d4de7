"""What is published stays as it is: names, commands, the recipe schema, shipped recipes."""

import json
import re
from pathlib import Path

import pytest

import graftwork as gw
from graftwork.cli.main import called
from graftwork.cli.showing import schema_text
from graftwork.core.recipe import read_recipe
from graftwork.pipeline.recipes import read_request, recipe_digest

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(
    [*ROOT.glob("recipes/*.yaml"), *ROOT.glob("examples/*/*.yaml"), ROOT / "src/graftwork/pipeline/demo/recipe.yaml"]
)
COMMANDS = ["demo", "run", "prepare", "train", "show", "chat", "export", "merge", "blend", "version"]


def test_the_package_offers_these_names():
    assert sorted(gw.__all__) == ["AdapterBank", "__version__", "load_base", "run"]
    for name in gw.__all__:
        assert getattr(gw, name)
    with pytest.raises(AttributeError, match="There are: AdapterBank"):
        gw.load_bas  # noqa: B018  the lookup is the test


def test_the_command_line_offers_these_commands(capsys):
    assert called(["--help"]) == 0
    listed = re.findall(r"^  (\w+)  ", capsys.readouterr().out, flags=re.MULTILINE)
    assert [word for word in listed if word in COMMANDS] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command, capsys):
    assert called([command, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_the_published_schema_is_the_one_that_the_code_gives():
    published = (ROOT / "schemas" / "run.schema.json").read_text("utf-8")
    assert published == schema_text(), "run: graftwork show --schema > schemas/run.schema.json"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_a_shipped_recipe_parses_and_keeps_its_digest(path):
    golden = json.loads((ROOT / "tests" / "golden" / "recipe_digests.json").read_text())
    assert recipe_digest(read_request(path)) == golden[str(path.relative_to(ROOT))]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_a_shipped_recipe_says_how_to_run_it(path):
    assert "graftwork " in path.read_text().split("\n\n")[0]
    assert read_recipe(path)["preset"]


def test_everything_the_schema_describes_has_a_description():
    schema = json.loads(schema_text())
    fields = [f for d in [schema, *schema["$defs"].values()] for f in d.get("properties", {}).values()]
    assert len(fields) > 40
    assert all(field.get("description") for field in fields)
