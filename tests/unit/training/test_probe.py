"""The largest cut of a step that fits is found without trying one that does not; and what is free is read right."""

from hypothesis import given
from hypothesis import strategies as st

from graftwork.core.memory import available_bytes
from graftwork.training.probe import foretold, largest_fitting, peak_of_step, sizes_for


@given(st.integers(1, 128), st.integers(0, 50), st.integers(1, 9), st.integers(1, 900))
def test_it_is_the_largest_that_fits_and_none_that_does_not_is_tried(records, fixed, each, limit):
    tried = []

    def peak_of(size):
        tried.append(fixed + each * size)
        return tried[-1]

    found = largest_fitting(sizes_for(records), peak_of, limit)
    fitting = [size for size in sizes_for(records) if fixed + each * size <= limit]
    assert list(found) == fitting
    assert sum(peak > limit for peak in tried) <= 1, "one at most: the first or second, before there is a line"
    assert all(records % size == 0 for size in found)


def test_a_size_that_could_not_be_done_ends_the_search():
    assert largest_fitting([1, 2, 4, 8], lambda size: None if size == 4 else size, 100) == {1: 1, 2: 2}
    assert largest_fitting([1, 2], lambda _: None, 100) == {}


def test_a_peak_is_foretold_on_the_line_through_the_last_two():
    assert foretold({}, 1) == 0
    assert foretold({1: 10}, 2) == 10
    assert foretold({1: 10, 2: 14, 4: 22}, 8) == 38


def test_a_step_of_the_longest_records_is_done_and_its_peak_told(training):
    run = training(num_steps=1)
    before = run.adapter.digest()
    peaks = [peak_of_step(run.job, size) for size in (1, 2, 30)]  # more than there are: some twice
    assert peaks == sorted(peaks)
    assert peaks[0] > 1 << 20
    assert run.adapter.digest() != before


GIB = 1 << 30


def machine(tmp_path, **files):
    (tmp_path / "meminfo").write_text(f"MemTotal: {16 << 20} kB\nMemAvailable: {8 << 20} kB\n")
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return available_bytes(tmp_path, tmp_path)


def test_without_a_limit_it_is_what_the_machine_has(tmp_path):
    assert machine(tmp_path) == 8 * GIB
    assert machine(tmp_path, **{"memory.max": "max\n", "memory.current": f"{GIB}\n"}) == 8 * GIB


def test_the_limit_of_the_group_counts_and_what_it_could_give_back_does_too(tmp_path):
    told = {"memory.max": f"{4 * GIB}\n", "memory.current": f"{3 * GIB}\n"}
    assert machine(tmp_path, **told) == GIB
    assert machine(tmp_path, **told, **{"memory.stat": f"anon 5\ninactive_file {GIB}\n"}) == 2 * GIB


def test_the_older_kind_of_group_counts_too(tmp_path):
    told = {"memory__memory.limit_in_bytes": f"{2 * GIB}", "memory__memory.usage_in_bytes": f"{GIB}"}
    assert machine(tmp_path, **told) == GIB


def test_where_nothing_says_nothing_is_known(tmp_path):
    assert available_bytes(tmp_path / "nowhere", tmp_path / "nowhere") is None
