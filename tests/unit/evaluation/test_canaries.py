"""Canaries: exposure is what the paper says, and what is planted can be found, told apart and masked."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import graftwork.evaluation.dimensions  # noqa: F401  fills the catalog
from graftwork.core.errors import NotFoundError, SpecError
from graftwork.core.spec import parse
from graftwork.data.edits import edited
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.privacy.spec import PrivacySpec
from graftwork.data.quality.text import parts, shingles
from graftwork.data.records import Origin, Record
from graftwork.evaluation.canaries import canary_line, candidates, drawn_canaries, exposure, read_canaries
from graftwork.evaluation.dimension import DIMENSIONS, Given
from graftwork.evaluation.item import Reply


def rank_by_sorting(nats):
    """Of values that are all different."""
    return sorted(nats).index(nats[0]) + 1


@given(st.lists(st.floats(0, 100), min_size=2, max_size=40, unique=True))
def test_exposure_is_log2_of_the_space_less_log2_of_the_rank(nats):
    assert exposure(nats) == pytest.approx(math.log2(len(nats)) - math.log2(rank_by_sorting(nats)))


def test_exposure_of_a_secret_that_was_never_seen_is_log2_e_on_average():
    random = Random(0)
    drawn = [exposure([random.random() for _ in range(1024)]) for _ in range(2000)]
    assert sum(drawn) / len(drawn) == pytest.approx(math.log2(math.e), abs=0.1)  # its standard error is 0.03


def test_the_same_seed_gives_the_same_canaries_and_another_one_others():
    assert drawn_canaries(20, seed=1) == drawn_canaries(20, seed=1)
    other = {canary.secret for canary in drawn_canaries(20, seed=2)}
    assert not other & {canary.secret for canary in drawn_canaries(20, seed=1)}


def test_canaries_differ_in_question_and_secret_and_have_both_languages_and_kinds():
    planted = drawn_canaries(64, seed=5)
    assert len({one.question for one in planted}) == len({one.secret for one in planted}) == 64
    assert len({one.id for one in planted}) == 64
    assert {(one.language, one.kind) for one in planted[:4]} == {
        (la, k) for la in ("en", "zh") for k in ("email", "code")
    }
    with pytest.raises(SpecError, match="1 to 64"):
        drawn_canaries(65, seed=5)


def test_de_identification_masks_every_address_and_touches_no_question():
    """A question that changed would not be found again; a code is nobody's, so that it stays."""
    finder = Deidentifier(parse(PrivacySpec, {}), None)
    for canary in drawn_canaries(64, seed=9):
        assert not finder.find(canary.question)
        masked = edited(canary.answer, finder.clean(canary.answer).edits)
        assert (canary.secret in masked) == (canary.kind == "code")


@pytest.mark.parametrize("kinds", [("email",), ("code",), ("email", "code")])
def test_no_two_canaries_are_near_duplicates_even_once_they_are_masked(kinds):
    """Records from 0.8 alike on are set aside; a canary that is set aside is not planted."""
    finder = Deidentifier(parse(PrivacySpec, {}), None)
    planted = [
        as_record(one).edited(lambda text: finder.clean(text).edits) for one in drawn_canaries(64, seed=7, kinds=kinds)
    ]
    pieces = [shingles(parts(record).content) for record in planted]
    alike = [len(a & b) / len(a | b) for i, a in enumerate(pieces) for b in pieces[:i]]
    assert max(alike) < 0.8


def test_exposure_counts_those_that_are_likelier_and_half_of_those_that_are_as_likely():
    assert exposure([1.0, 2.0, 3.0, 0.5]) == 1.0
    assert exposure([2.0, 2.0, 2.0]) == pytest.approx(math.log2(3) - 1)


def test_candidates_are_the_true_answer_first_then_others_with_as_long_secrets():
    for canary in drawn_canaries(8, seed=3):
        drawn = candidates(canary, 64, seed=3)
        assert drawn[0] == canary.answer
        assert len(set(drawn)) == 64
        assert {len(one) for one in drawn} == {len(canary.answer)}
        assert drawn == candidates(canary, 64, seed=3)


def test_a_file_of_canaries_is_read_back(tmp_path):
    path, planted = tmp_path / "c.jsonl", drawn_canaries(12, seed=1)
    path.write_bytes(b"".join(map(canary_line, planted)))
    assert read_canaries(str(path)) == planted


def test_a_file_that_holds_none_is_refused_line_by_line(tmp_path):
    path = tmp_path / "c.jsonl"
    one = canary_line(drawn_canaries(1, seed=1)[0]).decode()
    path.write_text(one + '{"question": "a", "answer": "b"}\n' + one + "[1]\n", "utf-8")
    with pytest.raises(SpecError) as refused:
        read_canaries(str(path))
    assert [problem.path.rpartition(" ")[2] for problem in refused.value.problems] == ["2", "3", "4"]
    path.write_text("", "utf-8")
    with pytest.raises(SpecError, match="the file is empty"):
        read_canaries(str(path))
    with pytest.raises(NotFoundError, match="graftwork canaries make"):
        read_canaries(str(tmp_path / "none.jsonl"))


def as_record(canary, answer=None, system=False):
    turns = ({"role": "user", "content": canary.question}, {"role": "assistant", "content": answer or canary.answer})
    return Record(({"role": "system", "content": "Be brief."}, *turns) if system else turns, Origin("c.jsonl", 1))


def items_of(path, *, train, held_out=()):
    dimension = DIMENSIONS["safety"]
    spec = parse(dimension.spec, {"kind": "safety", "canaries": str(path), "candidates": 16})
    given_ = Given(held_out=list(held_out), train=train, seed=1, max_new_tokens=8)
    return [item for item in dimension.items(spec, given_) if item.slices["part"] == "canaries"]


@pytest.fixture
def planted(tmp_path):
    canaries = drawn_canaries(3, seed=1)
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"".join(map(canary_line, canaries)))
    return path, canaries


def test_where_each_canary_went_is_read_from_the_data(planted):
    path, (a, b, c) = planted
    items = items_of(path, train=[as_record(a, system=True), as_record(b, "masked")], held_out=[as_record(c)])
    assert [item.slices["planted"] for item in items] == ["trained on", "trained on, de-identified", "held out"]
    assert items[0].questions[0].prompt[0]["role"] == "system", "it is asked as it was trained"
    remembered = [Reply(nats=(1.0, *([9.0] * 15))), Reply(said=f"Surely {a.secret.upper()}!")]
    told = items[0].score(remembered)
    assert {name: score.total for name, score in told.items()} == {"exposure": 4.0, "extracted": 1.0}
    assert set(items[2].score(remembered)) == {"exposure_unseen"}


def test_canaries_that_were_never_planted_are_refused_and_not_called_safe(planted):
    path, (a, b, c) = planted
    with pytest.raises(SpecError, match="Name the file as a source too"):
        items_of(path, train=[as_record(a)], held_out=[as_record(b)])
    with pytest.raises(SpecError, match="among the training records"):
        items_of(path, train=[], held_out=[as_record(one) for one in (a, b, c)])
