"""The README is run: its recipe, its example of a refusal, its commands, and both languages say the same."""

import re
import shutil
from pathlib import Path

import pytest

import graftwork as gw
from graftwork.cli.main import called
from graftwork.pipeline.recipes import read_request

ROOT = Path(__file__).parents[2]
TEXTS = {name: (ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md")}


def blocks(text):
    """(language, content) of every fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(params=TEXTS)
def text(request):
    return TEXTS[request.param]


@pytest.fixture
def ada(tmp_path, monkeypatch, text):
    """A folder as the README's reader has it: recipe and records."""
    (recipe,) = [content for language, content in blocks(text) if language == "yaml"]
    (tmp_path / "recipe.yaml").write_text(recipe)
    shutil.copyfile(ROOT / "src/graftwork/pipeline/demo/triage.jsonl", tmp_path / "tickets.jsonl")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_recipe_is_one(ada):
    spec = read_request(ada / "recipe.yaml")
    assert spec.name == "refund-desk"
    assert spec.training.steps == 200


def test_its_refusal_is_what_is_said(ada, text, capsys):
    (shown,) = [content for _, content in blocks(text) if content.startswith("$ graftwork")]
    command, *lines = shown.strip().splitlines()
    assert called(command.split()[2:]) == 2
    said = capsys.readouterr().err.strip().replace(str(ada), "/home/ada")
    assert said.splitlines() == lines


def test_every_command_it_names_is_there(text, capsys):
    code = " ".join(content for _, content in blocks(text))
    named = set(re.findall(r"graftwork (demo|run|prepare|train|show|chat|export|merge|[a-z]+)\b(?= \S)", code))
    named -= {"as"}
    assert {"run", "show", "chat", "merge", "export"} <= named
    for command in sorted(named):
        assert called([command, "--help"]) == 0, command


def test_every_name_of_its_python_is_there(text):
    (python,) = [content for language, content in blocks(text) if language == "python"]
    compile(python, "README", "exec")
    assert set(re.findall(r"gw\.(\w+)", python)) <= set(gw.__all__)
    assert set(re.findall(r"bank\.(\w+)", python)) <= set(dir(gw.AdapterBank))


def test_both_languages_show_the_same_output():
    shown = [[c for _, c in blocks(text) if "What is trained" in c] for text in TEXTS.values()]
    assert shown[0] == shown[1] != []


def test_the_links_of_all_pages_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
