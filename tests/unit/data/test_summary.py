"""Numbers about one side of the data."""

from hypothesis import given
from hypothesis import strategies as st

from graftwork.data.summary import FIRST_BIN, histogram, side_summary

BINS = [FIRST_BIN * 2**i for i in range(18)]

LENGTHS = st.lists(st.integers(1, 2 * BINS[-1]) | st.sampled_from([end + more for end in BINS for more in (0, 1)]))


@given(LENGTHS)
def test_every_row_is_in_the_one_bin_that_its_length_belongs_to(lengths):
    bins = histogram(lengths)
    assert sum(one["rows"] for one in bins) == len(lengths)
    for one in bins:
        least = one["up_to"] // 2 if one["up_to"] > BINS[0] else 0
        assert one["rows"] == sum(1 for length in lengths if least < length <= one["up_to"])


@given(LENGTHS.filter(bool))
def test_bins_go_from_the_shortest_row_to_the_longest_without_a_gap(lengths):
    bins = histogram(lengths)
    ends = [one["up_to"] for one in bins]
    assert ends == [ends[0] * 2**i for i in range(len(ends))]
    assert bins[0]["rows"]
    assert bins[-1]["rows"]
    assert min(lengths) <= ends[0]
    assert ends[-1] / 2 < max(max(lengths), BINS[0]) <= ends[-1]


def test_a_side_is_told_by_its_rows_and_their_sums():
    told = side_summary([30, 3, 17], [4, 1, 2], num_records=2, digest="d")
    assert told == {
        "num_records": 2,
        "num_rows": 3,
        "num_tokens": 50,
        "num_targets": 7,
        "median_tokens": 17,
        "longest_tokens": 30,
        "lengths": [{"up_to": 16, "rows": 1}, {"up_to": 32, "rows": 2}],
        "digest": "d",
    }


def test_a_side_without_rows_is_told_too():
    told = side_summary([], [], num_records=0, digest="")
    assert (told["num_rows"], told["median_tokens"], told["longest_tokens"], told["lengths"]) == (0, 0, 0, [])


def test_a_row_of_five_million_tokens_is_not_in_a_bin_of_two_million():
    assert histogram([5_000_000])[0]["up_to"] >= 5_000_000
