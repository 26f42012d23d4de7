"""Receipts say what an answer follows from; what is changed on disk is named, and a kill leaves a whole chain."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.receipts import DAY_US, START_US, a_key, answered, notary, trusted

from graftwork.core.errors import ConflictError, IntegrityError, NotFoundError
from graftwork.core.spec import plain
from graftwork.serving.guard.finding import Intervention
from graftwork.serving.operations.journal import Head, Journal, verified
from graftwork.serving.operations.receipts import read_receipt, sampling_of, tokens_note

ROOT = Path(__file__).parents[4]


@pytest.fixture
def folder(tmp_path):
    """Receipts of five answers on two days."""
    journal = Journal(tmp_path / "receipts")
    for number in range(5):
        time_us = START_US + (DAY_US if number > 2 else 0)
        journal.append(notary().receipt(answered(number, time_us=time_us, tenant="bank" if number else "shop")))
    journal.close()
    return journal.folder


def test_a_receipt_reads_back_as_it_was_signed():
    done = [Intervention("words", "own", "mask", "answer", 3)] * 2
    one = notary().receipt(answered(40, text="secret words", policy="a" * 64, interventions=done))
    back = read_receipt(one.envelope, trusted())
    assert back == one
    assert back.receipt.guard.interventions == {"words mask": 2}
    assert len(back.receipt.answer.blocks) == 2
    assert sampling_of(back.receipt.sampling) == answered(40).ask.sampling
    assert "secret" not in one.envelope + json.dumps(plain(back.receipt))


def test_a_receipt_of_another_key_or_another_word_is_refused():
    one = notary(a_key(8)).receipt(answered(3))
    with pytest.raises(IntegrityError, match="no trusted key signed the receipt"):
        read_receipt(one.envelope, trusted())
    mine = notary().receipt(answered(3)).envelope
    other = notary().receipt(answered(4)).envelope
    forged = {**json.loads(other), "signatures": json.loads(mine)["signatures"]}
    with pytest.raises(IntegrityError, match="signature of key"):
        read_receipt(json.dumps(forged), trusted())


@given(st.lists(st.integers(0, 2**31), max_size=70), st.integers(0, 80))
def test_blocks_tell_where_two_answers_part(tokens, at):
    other = [*tokens[:at], *(token ^ 1 for token in tokens[at:])]
    one, two = tokens_note(tokens), tokens_note(other)
    same = sum(a == b for a, b in zip(one.blocks, two.blocks, strict=True))
    assert same == min(at, len(tokens)) // 16
    assert (one.digest == two.digest) == (at >= len(tokens))


def test_a_chain_over_days_verifies_and_goes_on(folder):
    assert [path.name for path in sorted(folder.glob("*.jsonl"))] == ["2026-03-01.jsonl", "2026-03-02.jsonl"]
    assert verified(folder, trusted()).sequence == 5
    journal = Journal(folder)
    assert journal.repaired == ""
    head = journal.append(notary().receipt(answered(9, time_us=START_US)))  # a clock that went back
    journal.close()
    assert verified(folder, trusted()) == head == Head(6, head.digest)


def test_whatever_byte_is_flipped_the_first_wrong_line_is_named(folder):
    """Every seventh byte here, so that it takes seconds; the flip of a line's end joins it with the next one."""
    for path in sorted(folder.glob("*.jsonl")):
        content = path.read_bytes()
        for at in [*range(0, len(content), 7), *(i for i, byte in enumerate(content) if byte == 10)]:
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            line = content[:at].count(b"\n") + 1
            with pytest.raises(IntegrityError) as wrong:
                verified(folder, trusted())
            assert str(wrong.value).startswith(f"{path.name} line {line}: "), at
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda lines: [lines[0], lines[2]], "2026-03-01.jsonl line 2: it is number 3; 2 should come here"),
        (lambda lines: [lines[1], lines[0], lines[2]], "2026-03-01.jsonl line 1: it is number 2"),
        (lambda lines: lines[:2], "2026-03-02.jsonl line 1: it is number 4"),
        (lambda lines: [*lines, lines[2]], "2026-03-01.jsonl line 4: it is number 3"),
        (lambda lines: [], "2026-03-02.jsonl line 1: it is number 4"),
    ],
)
def test_lines_that_are_gone_moved_or_twice_are_named(folder, change, named):
    path = folder / "2026-03-01.jsonl"
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(IntegrityError, match=named):
        verified(folder, trusted())


def test_an_unsigned_part_of_a_line_cannot_be_changed_either(folder):
    path = folder / "2026-03-02.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"tenant":"bank"}', b'"tenant":"bonk"}'))
    with pytest.raises(IntegrityError, match="line 1: it says something else than its receipt"):
        verified(folder, trusted())


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_last_line_cut_anywhere_is_taken_away_and_said(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("cut")
    journal = Journal(folder)
    for number in range(3):
        journal.append(notary().receipt(answered(number)))
    journal.close()
    (path,) = folder.glob("*.jsonl")
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    again = Journal(folder)
    assert again.head.sequence == whole
    assert bool(again.repaired) == (cut not in (0, *(i + 1 for i, byte in enumerate(content) if byte == 10)))
    again.append(notary().receipt(answered(8)))
    again.close()
    assert verified(folder, trusted()).sequence == whole + 1


WRITER = """
import sys
from pathlib import Path
from tests.support.receipts import answered, notary
from graftwork.serving.operations.journal import Journal
journal = Journal(Path(sys.argv[1]))
print("writing", flush=True)
number = journal.head.sequence
while True:
    journal.append(notary().receipt(answered(number % 50)))
    number += 1
"""


def test_a_kill_in_the_midst_of_writing_leaves_a_chain(tmp_path):
    folder, before = tmp_path / "receipts", 0
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout.readline() == "writing\n"
        path = folder / "2026-03-01.jsonl"
        enough = before + 20_000
        while not path.exists() or path.stat().st_size < enough:
            time.sleep(0.001)  # until there is something to spoil
        writer.kill()
        writer.wait()
        writer.stdout.close()
        journal = Journal(folder)
        journal.close()
        assert verified(folder, trusted()).sequence == journal.head.sequence > 0
        before = path.stat().st_size


def test_one_process_writes_at_a_time(folder):
    journal = Journal(folder)
    with pytest.raises(ConflictError, match="another server writes receipts there"):
        Journal(folder)
    journal.close()
    Journal(folder).close()


def test_a_receipt_is_found_by_its_tenant_alone(folder):
    journal = Journal(folder)
    fresh = notary().receipt(answered(6))
    journal.append(fresh)
    assert journal.find("bank", fresh.digest) == fresh.envelope
    old = notary().receipt(answered(1))
    assert journal.find("bank", old.digest) == journal.find("bank", "req_1-0") == old.envelope
    assert journal.find("shop", "req_0-0")
    for tenant, text in (("shop", fresh.digest), ("shop", "req_1-0"), ("bank", "req_0-0"), ("bank", "loan-bot")):
        with pytest.raises(NotFoundError, match="no receipt"):
            journal.find(tenant, text)
    journal.close()


def test_a_folder_whose_end_was_changed_is_not_written_to(folder):
    path = folder / "2026-03-02.jsonl"
    path.write_bytes(path.read_bytes()[:-2] + b"]\n")
    with pytest.raises(IntegrityError, match=r"2026-03-02.jsonl: its last line: it is not as it was written"):
        Journal(folder)
    with pytest.raises(NotFoundError, match="is no folder of receipts"):
        verified(folder / "gone", trusted())
