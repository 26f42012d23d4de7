"""The evaluation report: what it says first, that its numbers are those of the result, and that nothing can harm it."""

import re
from dataclasses import fields, is_dataclass, replace
from importlib.resources import files
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.evaluated import RESULT, SUBJECTS

from graftwork.evaluation.result import EvaluationResult, Measured, Slice, told
from graftwork.pipeline.pages.evaluation import Background, Certified, evaluation_page
from graftwork.pipeline.pages.evaluation_parts import panel_of
from graftwork.pipeline.pages.subjects import called

HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202e\x1b[31m{{ 7 * 7 }}"
FACTORS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "%": 0.01}
WORST = {"better": "worse", "not worse": "not shown"}


def page_of(result=RESULT, **known):
    language = known.pop("language", "en")
    return evaluation_page(result, name="hotline", language=language, background=Background(**known))


def without(name):
    return replace(RESULT, dimensions=tuple(one for one in RESULT.dimensions if one.name != name))


def numbers_in(value):
    """All numbers of plain data."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return {number for one in value for number in numbers_in(one)}
    return {float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else set()


def poisoned(value, mark):
    """`value` with `mark` before every text that comes from outside."""
    fixed = {"kind", "better", "verdict", "name", "subject", "reference", "metric", "format", "by"}
    if is_dataclass(value):
        changed = {
            field.name: poisoned(getattr(value, field.name), mark) for field in fields(value) if field.name not in fixed
        }
        return replace(value, **changed)
    if isinstance(value, tuple):
        return tuple(poisoned(one, mark) for one in value)
    if isinstance(value, dict):
        return {key if key in {s.name for s in SUBJECTS} else mark + key: poisoned(v, mark) for key, v in value.items()}
    return mark + value if isinstance(value, str) else value


def test_the_verdict_comes_first_in_one_sentence_of_either_language(read):
    text = read(page_of()).text
    first = (
        "Beside its base, the adapter is better in accuracy and robustness, worse in general knowledge, undecided in "
    )
    assert first + "consistency; it keeps up with full tuning in 5 of 5 dimensions." in text
    assert text.index(first) < text.index("Certificate") < text.index("At a glance") < text.index("Further numbers")
    chinese = "与底座模型相比，适配器在准确性、稳健性上更好，在通用能力上变差，在一致性上尚无定论；"
    assert chinese + "与全量微调相比，5 个维度中有 5 个不逊色。" in text.replace("\u00a0", " ")


def test_worse_in_nothing_is_said_only_where_all_is_known(read):
    assert (
        "worse in nothing" not in read(page_of(without("forgetting"))).text.partition("Certificate")[0].splitlines()[-1]
    )
    calm = replace(RESULT, dimensions=tuple(RESULT.dimension(name) for name in ("accuracy", "robustness", "safety")))
    assert "better in accuracy and robustness, worse in nothing" in read(page_of(calm)).text


def test_a_result_of_the_base_alone_has_nothing_to_compare(read):
    alone = tuple(
        replace(
            d,
            verdicts=(),
            changed=(),
            metrics=tuple(replace(m, values=m.values[:1], comparisons=()) for m in d.metrics),
        )
        for d in RESULT.dimensions
    )
    text = read(page_of(replace(RESULT, subjects=SUBJECTS[:1], dimensions=alone, verdicts=()))).text
    assert "2,000 items scored on the base alone." in text
    assert "There was nothing to compare with." in text


@pytest.mark.parametrize(("language", "lang", "chosen"), [("en", "en", "say-en"), ("zh", "zh-Hans", "say-zh")])
def test_a_page_opens_in_the_language_asked_for(read, language, lang, chosen):
    page = page_of(language=language)
    assert f'<html lang="{lang}">' in page
    assert re.findall(r'id="(say-\w\w)" checked', page) == [chosen]


def test_every_number_of_the_page_is_one_of_the_result_rounded_as_shown():
    known, shown = numbers_in(told(RESULT)), set()
    for value, text in re.findall(r'<data value="([^"]+)">([^<]*)</data>', page_of()):
        assert float(value) in known
        shown.add(float(value))
        if text.startswith("&lt;"):
            assert float(value) < 0.001
            continue
        figure, _, unit = text.replace("\u2009", " ").replace("−", "-").replace(",", "").partition(" ")
        step = 10.0 ** -len(figure.partition(".")[2])
        away = min(abs(float(value) / factor - float(figure)) for factor in ([FACTORS[unit]] if unit else [1, 0.01]))
        assert away <= 0.5001 * step, (value, text)
    measured = {
        number
        for dimension in RESULT.dimensions
        for metric in dimension.metrics
        for one in [*(value.measured for value in metric.values), *metric.comparisons]
        for number in (one.low, one.high, getattr(one, "value", getattr(one, "difference", None)))
        if number is not None
    }
    assert measured <= shown, "nothing that was measured is left out"


def test_right_is_better_whichever_way_a_metric_counts():
    for dimension in RESULT.dimensions:
        for metric in dimension.metrics:
            panel = panel_of(metric, called(SUBJECTS), dimension.name)
            if panel.margin_at is not None:
                assert panel.margin_at < panel.zero_at
            for one in panel.contrasts:
                assert (one.whisker.low <= one.whisker.at <= one.whisker.high) or panel.apart.is_flipped
                if one.verdict in ("better", "worse"):
                    assert (one.whisker.at > panel.zero_at) == (one.verdict == "better")


def test_the_worst_part_of_every_subject_is_marked(read):
    page = page_of(replace(RESULT, dimensions=RESULT.dimensions[:1]))
    (row,) = (row for row in re.findall(r"<tr>.*?</tr>", page, re.S) if "homophones" in row)
    assert page.count('class="mark"') == row.count('class="mark"') == 3


def test_forgetting_stands_beside_every_gain_and_is_missed_where_it_was_not_measured(read):
    text = read(page_of()).text
    beside = text[text.rindex("Gain, and what was forgotten") :]
    assert beside.index("In its field") < beside.index("What the base knew before") < beside.index("+0.062")
    missed = read(page_of(without("forgetting"))).text
    assert "A gain may have been paid for with what the base could do before." in missed
    assert "What the base forgot was not measured." in missed


def test_a_refused_certificate_is_said_with_every_reason(read):
    refused = Certified(status="refused", reasons=("torch: 2.13.0 and 2.12.1", "items: other digests"))
    text = read(page_of(certified=refused)).text
    assert "Do not compare their numbers." in text
    assert "torch: 2.13.0 and 2.12.1" in text
    assert "items: other digests" in text
    assert "All subjects were evaluated on equal terms" not in text


def test_what_is_undecided_is_among_the_limits_with_the_items_it_would_take(read):
    text = read(page_of()).text
    assert "consistency: beside its base, too few items to say anything." in text
    assert "about 2,400 items would show that it is not worse" in text
    assert "3 held-out records were not asked: they call tools." in text


def test_a_setting_that_differs_between_subjects_comes_first_and_is_marked():
    manifest = {**RESULT.manifest, "full": {**RESULT.manifest["full"], "hardware": "8 x x86_64"}}
    page = page_of(replace(RESULT, manifest=manifest))
    rows = re.findall(r'<tr class="(differs)?"><th scope="row"><code><bdi dir="auto">([^<]+)', page)
    assert [name for mark, name in rows if mark] == [name for _, name in rows[:2]] == ["hardware", "subject"]


def test_a_page_calls_nobody_and_all_its_ways_lead_somewhere(read):
    page = page_of()
    told_of = read(page)
    ids = [value for name, value in told_of.attributes if name == "id"]
    ways = [value for name, value in told_of.attributes if name in ("href", "xlink:href")]
    assert len(ids) == len(set(ids))
    assert ways
    assert {way.removeprefix("#") for way in ways} <= set(ids)
    assert not [value for name, value in told_of.attributes if name in ("src", "srcset", "action", "data", "poster")]
    assert not re.search(r"url\(|@import|https?://", page)
    assert not {"script", "iframe", "object", "embed", "form", "img"} & set(told_of.tags)
    assert "default-src 'none'" in page


def test_a_reader_who_does_not_see_it_gets_all_of_it(read):
    page = page_of()
    told_of = read(page)
    assert told_of.tags.count("table") == told_of.tags.count("caption")
    tracks = re.findall(r'<svg class="track[^>]*aria-label="([^"]*)"><title>([^<]*)</title>', page)
    assert len(tracks) == page.count('class="track')
    assert all(label == title and re.search(r"\d", label) for label, title in tracks)
    assert all(re.search(r'<th [^>]*scope="', head) for head in re.findall(r"<thead.*?</thead>", page, re.S))
    levels = [int(tag[1]) for tag in told_of.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_no_verdict_is_told_by_colour_alone():
    badges = re.findall(
        r'<span class="badge ([\w-]+)"><span aria-hidden="true">(.)</span> <span[^>]*>([^<]+)<', page_of()
    )
    assert len(badges) == page_of().count('class="badge')
    assert len({(kind, sign, word) for kind, sign, word in badges}) == 4
    words = {"not-worse": "not worse", "not-shown": "undecided"}
    assert all(words.get(kind, kind) == word for kind, _, word in badges)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mark=st.text(min_size=1, max_size=40) | st.sampled_from([HOSTILE, "--><b>", "</bdi></td>", "&lt;", "{% raw %}"]))
def test_no_text_of_an_example_becomes_part_of_the_page(read, mark):
    one = replace(RESULT, dimensions=RESULT.dimensions[:1])
    clean, page = read(page_of(one)), read(page_of(poisoned(one, mark)))
    seen = [tag for tag in page.tags if tag != "span"]  # marks of unseen characters are spans
    assert seen == [tag for tag in clean.tags if tag != "span"]
    assert {name for name, _ in page.attributes} == {name for name, _ in clean.attributes}


def test_a_hostile_text_is_shown_as_it_is(read):
    told_of = read(page_of(poisoned(RESULT, HOSTILE), lineage=((("Recipe", "配方"), HOSTILE),)))
    assert "script" not in told_of.tags
    assert "<script>alert(1)</script>" in told_of.text
    assert "{{ 7 * 7 }}" in told_of.text


def test_subjects_of_one_kind_are_told_apart_by_their_names(read):
    twin = replace(SUBJECTS[1], name=HOSTILE + "b")
    result = EvaluationResult(subjects=(*SUBJECTS, twin), dimensions=RESULT.dimensions)
    assert "Beside its base, adapter is better" in read(page_of(result)).text


def test_the_learning_curves_and_the_data_are_part_of_it(read, report):
    rows = [
        {
            "kind": "step",
            "step": n,
            "loss_nats": 4 / n,
            "grad_norm": 1.0,
            "learning_rate": 1e-3,
            "max_singular_value": None,
        }
        for n in range(1, 9)
    ]
    text = read(page_of(metrics=rows, data=report())).text
    assert "Learning curves" in text
    assert "2,299 / 2,251 / 48" in text
    assert "3 records (replaced by a word for its kind (mask))" in text


def luminance(colour):
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_every_text_can_be_read_on_its_ground(scheme):
    """Source: WCAG 2.2, success criterion 1.4.3 (AA): 4.5 to 1, and 1.4.11: 3 to 1 for what is drawn."""
    css = (files("graftwork.pipeline.pages") / "templates" / "style.css").read_text("utf-8")
    blocks = [dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in re.findall(r":root \{([^}]*)\}", css)]
    widened = [{k: v if len(v) == 7 else "#" + "".join(2 * c for c in v[1:]) for k, v in b.items()} for b in blocks]
    light, dark, paper = widened
    colours = {**light, **{"light": light, "dark": dark, "print": paper}[scheme]}
    pairs = [(ink, "paper") for ink in ("ink", "soft", "train", "held", "kept", "add", "bad")]
    pairs += [("ink", "raised"), ("soft", "raised"), ("add", "add-wash"), ("bad", "kept-wash")]
    for ink, ground in pairs:
        assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


@pytest.mark.parametrize(
    ("num_items", "num_groups", "words"),
    [
        (2, 2, ("no interval: 2 items", "无区间：只有 2 题")),
        (1, 1, ("no interval: 1 item", "无区间：只有 1 题")),
        (9, 3, ("no interval: items of 3 groups", "无区间：题目只有 3 组")),
    ],
)
def test_a_part_of_few_items_says_that_it_has_no_interval(read, num_items, num_groups, words):
    few = Measured(
        value=1.5, low=None, high=None, num_items=num_items, num_groups=num_groups, by="no interval: 2 items"
    )
    bits = RESULT.dimension("accuracy").metric("bits_per_byte")
    value = replace(bits.values[0], slices=(Slice(name="language", value="zh", measured=few),))
    accuracy = replace(RESULT.dimensions[0], metrics=(replace(bits, is_main=True, values=(value, *bits.values[1:])),))
    text = read(page_of(replace(RESULT, dimensions=(accuracy, *RESULT.dimensions[1:])))).text.replace("\u00a0", " ")
    assert all(word in text for word in words)
