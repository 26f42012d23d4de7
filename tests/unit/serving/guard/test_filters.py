"""What each filter finds, what it leaves alone, and which settings are refused."""

import pytest

from graftwork.core.errors import NotFoundError, SpecError
from graftwork.core.spec import parse
from graftwork.data.lexicons.lexicon import SHIPPED, shipped
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.privacy.labelled import labelled
from graftwork.data.privacy.spec import PrivacySpec
from graftwork.serving.guard.filters.personal_data import CODES, OF_WORDS
from graftwork.serving.guard.finding import FILTERS
from graftwork.serving.guard.guard import Guard, read_guard
from graftwork.serving.guard.spec import GuardSpec


def guard_of(*filters, side="answer"):
    """A guard of these filters for every model."""
    return Guard(parse(GuardSpec, {"default": {side: list(filters)}})).for_model("any")


def told(guard, text, source=""):
    """What comes out for a text that is said at once."""
    stream = guard.stream([source])
    return stream.push(text) + stream.close()


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Masks blister, you fool and some Chinese words."""
    path = tmp_path_factory.mktemp("lists") / "own.txt"
    path.write_text("blister\nyou fool\n坏蛋\n骗钱公司\n", "utf-8")
    return guard_of({"filter": "words", "action": "mask", "shipped": [], "lexicons": [str(path)], "mask": "#"})


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("what a blister!", "what a #!"),
        ("BLISTER", "#"),
        ("ｂｌｉｓｔｅｒ", "#"),
        ("b\u200bli\u200cs\u2060ter", "#"),
        ("bl\u0456ster", "#"),
        ("b l i s t e r", "#"),
        ("b.l.i.s.t.e.r", "#"),
        ("bli-ster", "#"),
        ("b1i5t3r", "#"),
        ("b!i$ter", "#"),
        ("blísteŕ", "#"),
        ("b\u0336l\u0336i\u0336s\u0336t\u0336e\u0336r", "#"),
        ("bliiiister", "#"),
        ("so b-l-i-s-t-e-r, then", "so #, then"),
        ("你这个坏蛋", "你这个#"),
        ("壞蛋", "#"),
        ("坏*蛋", "#"),
        ("坏 蛋", "#"),
        ("坏·蛋啊", "#啊"),
        ("坏—蛋", "#"),
        ("騙錢公司", "#"),
        ("You fool.", "#."),
        ("说blister吗", "说#吗"),
    ],
)
def test_a_word_is_found_however_it_is_written(words, text, out):
    assert told(words, text) == out


@pytest.mark.parametrize(
    "text", ["blisters", "ablister", "bli ster", "b l i s t", "1915 74", "", "坏。蛋", "坏\n蛋", "you foolish man"]
)
def test_what_only_seems_to_be_one_is_left_alone(words, text):
    assert told(words, text) == text


def test_every_shipped_word_is_found_in_a_sentence():
    guard = guard_of({"filter": "words", "action": "flag"})
    for listed in shipped(SHIPPED):
        stream = guard.stream([])
        stream.push(f"... {listed.word}!")
        stream.close()
        assert listed.topic in {done.kind for done in stream.interventions}, listed


@pytest.mark.parametrize("kinds", [CODES, (*CODES, *OF_WORDS)])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_is_found_in_a_whole_text_does_not_get_through_in_pieces(language, kinds):
    finder = Deidentifier(parse(PrivacySpec, {"kinds": kinds}), None)
    guard = guard_of({"filter": "personal_data", "action": "mask", "kinds": kinds})
    found = through = 0
    for case in labelled(language, seed=3, num_cases=400):
        out = told(guard, case.text)
        for one in finder.find(case.text):
            found += 1
            through += case.text[one.start : one.end] in out
    assert found > 100
    assert through == 0


def test_an_answer_may_repeat_its_prompt_where_the_policy_says_so():
    said, asked = "Call 13800138000 or 13912345678.", "Is 138 0013 8000 right?"
    spares = guard_of({"filter": "personal_data", "action": "mask", "spares_prompt": True})
    assert told(spares, said, asked) == "Call 13800138000 or [PHONE]."
    strict = guard_of({"filter": "personal_data", "action": "mask"})
    assert told(strict, said, asked) == "Call [PHONE] or [PHONE]."


def test_facts_without_support_are_counted_or_end_the_answer():
    source = "The office sold 1,200 houses on 5 March 2019. " * 10
    said = "It sold twelve hundred houses. Then 1,300 in 2020! 三月五日。"
    stream = guard_of({"filter": "facts", "action": "flag"}).stream([source])
    assert stream.push(said) + stream.close() == said
    assert [(done.kind, done.length) for done in stream.interventions] == [("number", 5), ("number", 4)]
    assert told(guard_of({"filter": "facts", "action": "block"}), said, source) == "It sold twelve hundred houses."
    assert told(guard_of({"filter": "facts", "action": "block"}), said, "short") == said


def test_a_pattern_masks_what_it_matches_and_no_more():
    guard = guard_of({"filter": "pattern", "action": "mask", "name": "case", "pattern": r"AZ-\d{2,6}", "mask": "#"})
    assert told(guard, "AZ-1, AZ-12, AZ-1234567") == "AZ-1, #, #7"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a+", "A match may have at most 1000 characters."),
        ("a{5,2000}", "A match may have at most 1000 characters."),
        ("(?=a)b", "It uses look-around."),
        ("(?<!a)b", "It uses look-around."),
        ("^a", "It uses ^ or $."),
        ("(a$|b)", "It uses ^ or $."),
        (r"(a)\1", "It uses a reference."),
        ("a{0,3}", "It matches nothing at all, too."),
        ("(a", "It cannot be read:"),
    ],
)
def test_a_pattern_that_would_hold_back_without_end_is_refused(pattern, why):
    with pytest.raises(SpecError) as refused:
        guard_of({"filter": "pattern", "action": "flag", "name": "x", "pattern": pattern})
    assert why in str(refused.value)
    assert "default.answer[0]" in str(refused.value)


def test_a_pattern_that_takes_too_long_counts_as_found():
    evil = r"(?:a{1,30}){1,30}b"
    guard = guard_of({"filter": "pattern", "action": "block", "name": "slow", "pattern": evil})
    stream = guard.stream([])
    stream.push("a" * 900 + "c" * 1000)
    assert stream.is_blocked
    assert [done.kind for done in stream.interventions] == ["slow_timeout"]


def test_an_answer_that_is_too_long_ends():
    assert told(guard_of({"filter": "length", "action": "block", "most_characters": 4}), "123456") == "1234"


@pytest.mark.parametrize(
    ("side", "raw", "why"),
    [
        ("answer", {"filter": "wrods", "action": "mask"}, "Did you mean 'words'?"),
        ("answer", {"filter": "words"}, "default.answer[0].action"),
        ("answer", {"filter": "words", "action": "msak"}, "Did you mean 'mask'?"),
        ("answer", {"filter": "words", "action": "mask", "shipped": []}, "a list of words"),
        ("prompt", {"filter": "facts", "action": "flag"}, "a filter of prompts"),
        ("answer", {"filter": "length", "action": "mask", "most_characters": 3}, "one of block, flag for length"),
        ("answer", {"filter": "personal_data", "action": "mask", "kinds": ["fone"]}, "Did you mean 'phone'?"),
    ],
)
def test_what_a_filter_cannot_do_is_refused_in_words(side, raw, why):
    with pytest.raises(SpecError) as refused:
        guard_of(raw, side=side)
    assert why in str(refused.value)


def test_every_filter_says_its_name_and_default_actions():
    for name in FILTERS:
        assert FILTERS[name].spec.model_fields["filter"].default == name


def test_a_prompt_is_masked_or_refused():
    guard = guard_of(
        {"filter": "personal_data", "action": "mask"},
        {"filter": "pattern", "action": "block", "name": "secret", "pattern": "top secret"},
        side="prompt",
    )
    decision = guard.on_prompt(["Be brief.", "I am 13800138000"])
    assert decision.refusal is None
    assert decision.texts == ("Be brief.", "I am [PHONE]")
    assert [(done.kind, done.side) for done in decision.interventions] == [("phone", "prompt")]
    refused = guard.on_prompt(["this is top secret"])
    assert refused.refusal == "The request was refused by the guard of this service."
    assert refused.texts == ()


def test_a_file_says_what_holds_for_which_model(tmp_path):
    (tmp_path / "words.txt").write_text("blister\n", "utf-8")
    policy = "{answer: [{filter: words, action: mask, shipped: [], lexicons: [words.txt]}]}"
    (tmp_path / "guard.yaml").write_text(f"models:\n  loan-bot: {policy}\n", "utf-8")
    guard = read_guard(tmp_path / "guard.yaml")
    assert told(guard.for_model("loan-bot"), "a blister") == "a ***"
    assert told(guard.for_model("other"), "a blister") == "a blister"
    for called in ("loan-bot:canary", "loan-bot:production", "loan-bot@3fa9c10000"):
        assert told(guard.for_model(called), "a blister") == "a ***"
    before = guard.for_model("loan-bot").digest
    assert before != guard.for_model("other").digest
    (tmp_path / "words.txt").write_text("blister\nbluster\n", "utf-8")
    assert read_guard(tmp_path / "guard.yaml").for_model("loan-bot").digest != before
    (tmp_path / "words.txt").unlink()
    with pytest.raises(NotFoundError, match=r"words\.txt"):
        read_guard(tmp_path / "guard.yaml")


def test_a_stage_may_have_a_policy_of_its_own():
    mask = {"filter": "words", "action": "mask", "shipped": ["en"]}
    models = {"bot": {"answer": [mask]}, "bot:canary": {"answer": [{**mask, "action": "flag"}]}}
    guard = Guard(parse(GuardSpec, {"models": models}))
    assert guard.for_model("bot:canary").digest != guard.for_model("bot").digest
    assert guard.for_model("bot:candidate").digest == guard.for_model("bot").digest
