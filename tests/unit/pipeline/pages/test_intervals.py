"""Scales, whiskers and numbers: what is drawn and written of an estimate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.evaluation.result import Measured, MetricResult
from graftwork.pipeline.pages.intervals import scale_of, whisker
from graftwork.pipeline.pages.numbers import fixed, margin_shown, measured_shown

FINITE = st.floats(-1e9, 1e9).filter(lambda x: x == 0 or abs(x) > 1e-9)


def shown(value, low, high, *, unit="bits per byte", is_share=False):
    metric = MetricResult(name="m", unit=unit, better="more", about="", is_share=is_share)
    one = measured_shown(metric, Measured(value=value, low=low, high=high, num_items=9, num_groups=9))
    return tuple(
        None if number is None else number.text.replace("\u2009", " ") for number in (one.number, one.low, one.high)
    )


@given(st.lists(FINITE, min_size=3, max_size=3).map(sorted), st.booleans())
def test_an_interval_is_drawn_in_order_and_within_its_scale(three, is_flipped):
    low, value, high = three
    scale = scale_of(three, is_flipped=is_flipped)
    drawn = whisker(scale, value, low, high)
    order = [drawn.low, drawn.at, drawn.high]
    assert order == sorted(order, reverse=is_flipped)
    assert all(0 <= at <= 1 for at in order)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((2.31, 2.2, 2.42), ("2.31", "2.20", "2.42")),
        ((0.2, 0.0, 9.2), ("0.20", "0.00", "9.20")),
        ((24.3, 23.9, 24.7), ("24.30", "23.90", "24.70")),
        ((1234.0, None, None), ("1,234", None, None)),
        ((0.0, 0.0, 0.0), ("0", "0", "0")),
        ((-0.5, -40.0, 39.0), ("−0.50", "−40.00", "39.00")),
    ],
)
def test_a_number_is_rounded_to_what_its_interval_tells_and_never_to_nothing(given, text):
    assert shown(*given) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0.75, 0.678, 0.811), ("75.0 %", "67.8", "81.1 %")),
        ((0.0, 0.0, 0.023), ("0.0 %", "0.0", "2.3 %")),
        ((0.0004, 0.0, 0.001), ("0.04 %", "0.00", "0.10 %")),
        ((0.9998, 0.99, 1.0), ("99.98 %", "99.00", "100.00 %")),
    ],
)
def test_a_share_is_in_percent_and_none_that_is_there_is_shown_as_none_or_all(given, text):
    assert shown(*given, unit="share of answers", is_share=True) == text


def test_bytes_and_margins_are_in_their_own_units():
    assert shown(6.1e8, None, None, unit="bytes")[0] == "581.7 MiB"
    share = MetricResult(name="m", unit="share of answers", better="more", about="")
    assert margin_shown(share, 0.02).text == "2"
    assert margin_shown(MetricResult(name="m", unit="bits", better="less", about=""), 0.01).text == "0.01"


@given(st.floats(-1e6, 1e6), st.integers(0, 6), st.booleans())
def test_a_fixed_number_reads_back_as_it_was_rounded(value, decimals, is_signed):
    text = fixed(value, decimals, is_signed=is_signed)
    assert float(text.replace("−", "-").replace(",", "")) == round(value, decimals)
