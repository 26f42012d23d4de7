"""The learning curves: what is drawn, what the page says in both languages, and that it needs nothing else."""

from io import BytesIO

import pytest

from graftwork.pipeline.pages.curves import charts_of, curves_page
from graftwork.pipeline.pages.picture import picture


def step(number, **more):
    told = {"loss_nats": 4 / number, "grad_norm": 1.0 + number % 3, "learning_rate": 1e-3, "max_singular_value": None}
    return {"kind": "step", "step": number, "num_tokens": 100, "seconds": 0.5, **told, **more}


def look(number, adapter, *, is_best):
    told = {"adapter_nats": adapter, "base_nats": 3.0, "change_stderr": 0.05, "num_records": 16, "is_best": is_best}
    return {"kind": "evaluation", "step": number, **told}


ROWS = [*(step(n) for n in range(1, 121)), look(60, 1.5, is_best=True), look(120, 1.75, is_best=False)]


def test_there_is_a_chart_for_all_that_was_measured_and_none_for_what_was_not():
    assert [one.name[0] for one in charts_of(ROWS)] == ["Loss", "Learning rate", "Gradient norm"]
    capped = [step(n, max_singular_value=0.9) for n in range(1, 5)]
    assert [one.name[0] for one in charts_of(capped)][-1] == "Largest singular value"
    assert charts_of([]) == []


def test_the_loss_is_drawn_raw_smoothed_held_out_and_of_the_base():
    loss = charts_of(ROWS)[0]
    assert [line.sort for line in loss.lines] == ["raw", "train", "base", "held"]
    base, held = loss.lines[2:]
    assert [x for x, _ in base.points] == [0, 1]
    assert len({y for _, y in base.points}) == 1
    assert [x for x, _ in held.points] == [0.5, 1]
    assert held.points[0][1] > held.points[1][1] > base.points[0][1], "lower losses lie further down"


def test_of_a_few_steps_nothing_is_smoothed():
    assert [line.sort for line in charts_of([step(n) for n in range(1, 9)])[0].lines] == ["train"]


def test_the_headline_tells_the_best_look_in_both_languages():
    page = curves_page(ROWS, name="tickets")
    assert "Held-out loss: 3.000 nats per token without the adapter, 1.500 with it at its best, after step 60." in page
    assert "留出集损失：不用适配器为 3.000 nats/token" in page.replace("\u00a0", " ")
    assert "−1.250 ± 0.098" in page


def test_a_training_without_looks_says_so():
    assert "3 steps; the held-out loss was not looked at." in curves_page(ROWS[:3], name="tickets")


def test_a_page_is_whole_calls_nobody_and_cannot_be_broken_by_a_name(read):
    page = curves_page(ROWS, name="</style><script>alert(1)</script>")
    told = read(page)
    assert "script" not in told.tags
    assert not [value for name, value in told.attributes if name in ("src", "href", "xlink:href")]
    assert "default-src 'none'" in page


def test_a_page_stays_light_after_a_long_training():
    rows = [step(n, max_singular_value=1.0 / n) for n in range(1, 20_001)]
    assert len(curves_page(rows, name="long").encode()) < 100_000


def test_the_picture_shows_every_chart():
    from PIL import Image

    charts = charts_of(ROWS)
    for shown in (charts, charts[:1]):
        image = Image.open(BytesIO(picture(shown, title="tickets")))
        assert image.size == (1000, 340 * len(shown) + 48)
        colours = {colour for _, colour in image.convert("RGB").getcolors(maxcolors=1 << 24)}
        assert (0x4C, 0x57, 0xA3) in colours, "the dots of the held-out loss"


@pytest.mark.parametrize("rows", [[step(1)], [step(1), look(1, 2.0, is_best=True)]], ids=["a step", "and a look"])
def test_one_step_is_enough(rows):
    assert "<svg" in curves_page(rows, name="short")
    assert picture(charts_of(rows), title="short")
