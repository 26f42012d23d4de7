"""Text that was cut off: no half of a name or a number is left, and long text takes no longer than its length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.cut_text import cut_earlier, cuts_earlier


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        ("the mail is anna.smith@exam", "the mail is ..."),
        ("tel 138-1234-5", "..."),
        ("see 6222 0202 0000 1", "..."),
        ("[EMAIL] and then", "[EMAIL] and ..."),
        ("[PHONE]13", "[PHONE] ..."),
        ("", " ..."),
    ],
)
def test_what_may_be_a_half_goes(cut, expected):
    assert cut_earlier(cut).strip() == expected.strip()


def test_so_it_does_where_a_message_marks_its_cuts():
    told = "expected 'a 138 1234 ... (90 characters)' or 'b c@d ... (80 characters)', found 7"
    assert cuts_earlier(told) == "expected ... (90 characters)' or 'b ... (80 characters)', found 7"
    assert cuts_earlier("nothing is cut here, 138 1234") == "nothing is cut here, 138 1234"


@given(st.text("a1 -[]@", max_size=60), st.integers(1, 12))
def test_the_digits_at_the_cut_are_all_gone(before, number):
    kept = cut_earlier(before + "7" * number)
    assert len(kept) <= len(before) + 4
    assert "7" not in kept


def test_digits_without_end_are_no_trap():
    """Searched quadratically this would take hours."""
    assert cut_earlier("1" * 1_000_000) == " ..."
    assert cuts_earlier("1 " * 500_000 + " ... (1000000 characters)").endswith("1 1 ... (1000000 characters)")
