"""Ask all subjects all questions, in batches, and keep every reply on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftwork.core.digests import digest
from graftwork.core.errors import CapacityError
from graftwork.evaluation.item import Reply
from graftwork.pipeline.evaluation.batches import Room, batches
from graftwork.pipeline.evaluation.replies import DECODING, ReplyLog, reply_key
from graftwork.pipeline.evaluation.subjects import by_bank
from graftwork.pipeline.evaluation.weigh import weighed
from graftwork.serving.generate import answers

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank
    from graftwork.pipeline.evaluation.questions import Written
    from graftwork.pipeline.evaluation.subjects import AtHand

Told = Callable[[int, int], None]
"""Told how many of how many replies are there, after every batch; may raise to stop."""

Pair = tuple["AtHand", "Written"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A batch: what is asked in it, and in which plan."""

    pairs: list[Pair]
    plan: str


def ask(
    subjects: Sequence[AtHand], questions: Mapping[str, Written], log: ReplyLog, *, room: Room, told: Told
) -> dict[str, dict[str, Reply]]:
    """Replies by subject's name and question's.

    Raises:
        CapacityError: a batch does not fit into memory.
    """
    planned = [one for bank, asked in by_bank(subjects) for one in _planned(asked, questions, log, room)]
    total = len(subjects) * len(questions)
    missing = [one for one in planned if any(_key(*pair) not in log for pair in one.pairs)]
    done = total - sum(len(one.pairs) for one in missing)
    told(done, total)
    for one in missing:
        log.add(_replies(one.pairs), one.plan)
        done += len(one.pairs)
        told(done, total)
    return {one.name: {name: log[reply_key(name, one.subject.digest)].reply for name in questions} for one in subjects}


def _planned(subjects: Sequence[AtHand], questions: Mapping[str, Written], log: ReplyLog, room: Room) -> list[Planned]:
    """Batches of what no earlier plan has asked.

    What this very plan has asked already, before it was interrupted, stays in its batch: the others in it get the same
    bits as if it had not been interrupted.
    """
    plan = digest([DECODING, [one.subject.digest for one in subjects], sorted(questions), room.questions, room.tokens])
    plan = plan[:16]
    found = []
    for batch in batches(questions.values(), len(subjects), room):
        pairs = [(subject, one) for subject in subjects for one in batch]
        own = [pair for pair in pairs if (key := _key(*pair)) not in log or log[key].plan == plan]
        if own:
            is_alone = batch[0].question.is_alone
            found += [Planned([pair], plan) for pair in own] if is_alone else [Planned(own, plan)]
    return found


def _key(subject: AtHand, one: Written) -> str:
    return reply_key(one.key, subject.subject.digest)


def _replies(pairs: Sequence[Pair]) -> dict[str, Reply]:
    try:
        replies = _weigh(pairs) if pairs[0][1].options else _free(pairs)
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        rows = sum(max(1, len(one.options)) for _, one in pairs)
        raise CapacityError(
            f"{rows} rows of up to {max(one.num_tokens for _, one in pairs)} tokens do not fit into memory. "
            "Lower evaluation.batch_tokens; the replies so far are kept."
        ) from error
    return {_key(*pair): reply for pair, reply in zip(pairs, replies, strict=True)}


def _free(pairs: Sequence[Pair]) -> list[Reply]:
    bank: AdapterBank = pairs[0][0].side.bank
    prompts = [one.question.prompt for _, one in pairs]
    rows = [subject.side.row for subject, _ in pairs]
    said = answers(bank, prompts, rows, max_new_tokens=pairs[0][1].question.max_new_tokens)
    return [Reply(said=text) for text in said]


def _weigh(pairs: Sequence[Pair]) -> list[Reply]:
    nats = weighed([(subject.side, one.options) for subject, one in pairs])
    return [
        Reply(nats=tuple(own), tokens=tuple(option.num_targets for option in one.options))
        for own, (_, one) in zip(nats, pairs, strict=True)
    ]
