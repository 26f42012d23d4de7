"""The preview of a run: on screen and as a page, from what lies in its folder."""

import re
import time
from io import StringIO

import pytest
from rich.console import Console

from graftwork.base.load import load_chat
from graftwork.cli.previewing import preview_rows, show_preview
from graftwork.core.errors import NotFoundError
from graftwork.data.encode import Encoded
from graftwork.data.records import Origin
from graftwork.data.store import StoreWriter, packed
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.pages.preview import Piece, PreviewRow, preview_page
from graftwork.pipeline.recipes import effective_text, requested

MESSAGES = [{"role": "user", "content": "利率？"}, {"role": "assistant", "content": "5%\n😀<b>[red]"}]
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e[red]"


def row(*pieces, origin="a.jsonl line 1"):
    made = tuple(Piece(*piece) for piece in pieces)
    return PreviewRow(origin=origin, source=0, window=0, pieces=made, num_tokens=len(made), num_targets=1)


def printed(*rows):
    out = StringIO()
    show_preview(Console(file=out, width=200, color_system="standard", force_terminal=True), rows)
    return out.getvalue()


@pytest.fixture
def run(tmp_path, llama_folder):
    """The folder of a run that is prepared: five rows, of which two are windows of one record."""
    marked = load_chat(llama_folder).marked(MESSAGES)
    asked = {"name": "tiny", "base": str(llama_folder), "data": {"train": str(tmp_path / "gone.jsonl")}}
    spec = requested(asked)
    folder = RunFolder(tmp_path)
    folder.keep_recipe(effective_text(spec))
    with StoreWriter(tmp_path / "data" / "train") as store:
        for line, window in ((1, 0), (2, 0), (2, 1), (3, 0), (4, 0)):
            origin = Origin("a.jsonl", line)
            store.add(packed(Encoded(tuple(marked.tokens_T), tuple(marked.is_target_T), origin, 0, window)))
    folder.record("prepare", {}, [], {"train": {"files": store.files}}, time.monotonic())
    return tmp_path


def test_a_run_is_shown_and_written_as_a_page_though_its_sources_are_gone(run, capsys):
    preview_rows(run, 3, as_json=False)
    said = capsys.readouterr().out
    assert (
        re.findall(r"a\.jsonl line \d.*", said)
        == [
            "a.jsonl line 1: 70 tokens, 23 learned",
            "a.jsonl line 2, window 1 of 2: 70 tokens, 23 learned",
            "a.jsonl line 2, window 2 of 2: 70 tokens, 23 learned",
        ]
        or "window 2 of 2" in said
    )
    assert "5%↵\n😀<b>[red]<|im_end|>" in said
    assert "\ufffd" not in said
    assert f"The same as a page: {run / 'data' / 'preview.html'}" in said.replace("\n", "")
    page = (run / "data" / "preview.html").read_text("utf-8")
    assert ">率</span>" in page
    assert re.search(r'<mark class="t[^>]*>😀</mark>', page)
    assert re.search(r'<mark class="special[^>]*>&lt;\|im_end\|&gt;</mark>', page)


def test_with_json_nothing_more_is_printed(run, capsys):
    preview_rows(run, 2, as_json=True)
    assert capsys.readouterr().out == ""
    assert (run / "data" / "preview.html").is_file()


def test_a_folder_without_prepared_data_is_refused_in_words(tmp_path):
    with pytest.raises(NotFoundError) as caught:
        preview_rows(tmp_path, 2, as_json=False)
    assert str(caught.value) == f"{tmp_path} holds no prepared data. Run `graftwork prepare` with it first."


def test_a_terminal_obeys_nothing_that_is_in_the_data():
    said = printed(row(("ok", False), (HOSTILE, True), origin=HOSTILE))
    assert said.count("<script>alert(1)</script><U+001B>[31m<U+202E>[red]") == 2
    assert "\x1b[31m" not in said


def test_learned_tokens_are_green_and_underlined_and_others_are_not():
    said = printed(row(("asked ", False), ("answered", True)))
    assert re.search(r"\x1b\[[0-9;]*4;32manswered", said)
    assert not re.search(r"\x1b\[[0-9;]*32masked", said)


def test_a_preview_page_holds_its_rows_and_no_tag_of_theirs(read):
    told = read(preview_page([row(("问\t", False), (HOSTILE, True), ("<|end|>", True, True))], name=HOSTILE))
    assert "script" not in told.tags
    assert told.tags.count("mark") == 3  # two pieces, and the legend's
    assert "问⇥\t" in told.text
    assert "\u202e" not in told.text


def test_a_token_keeps_its_white_space_on_the_page():
    page = preview_page([row(("  a", False), ("\n", True))], name="x")
    assert '<div class="row" dir="auto"><span class="t odd">  a</span><mark class="t">' in page
    assert '<span class="sign" aria-hidden="true">↵</span>\n</mark></div>' in page
