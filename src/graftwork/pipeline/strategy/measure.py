"""`strategy`: the base with no example, with a few and tuned, asked the same held-out records, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from graftwork.core.errors import Problem, SpecError
from graftwork.core.files import write_json
from graftwork.data.records import Record
from graftwork.evaluation.item import Question, Reply, Score
from graftwork.evaluation.measuring import measured
from graftwork.evaluation.sample import sample_of
from graftwork.pipeline.folder import Done, RunFolder
from graftwork.pipeline.prepare import EVALUATION, TRAIN
from graftwork.pipeline.spec import RunSpec
from graftwork.pipeline.strategy.advice import Advice, Kind, Level, advise, metric_of
from graftwork.pipeline.strategy.prompts import LONGEST_ANSWER, as_many_as_fit, closed_set, drawn, with_examples
from graftwork.pipeline.untouched import untouched
from graftwork.pipeline.watch import Watch
from graftwork.pipeline.work import Work, prepared_records

if TYPE_CHECKING:
    from graftwork.pipeline.evaluation.questions import Written
    from graftwork.pipeline.evaluation.subjects import AtHand

RESULT, FOLDER = "strategy.json", "strategy"
FEWEST = 2

ROOM_TOKENS = 8192
"""Tokens of a forward pass at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is to be measured.

    Attributes:
        num_records: held-out records, from the first; at most all.
        shots: numbers of examples, each a level.
        margin: differences below it do not matter; a share, or of bits per byte a share of them.
        enough: a share of exact answers that is good enough.
    """

    num_records: int = 100
    shots: tuple[int, ...] = (5, 20)
    margin: float = 0.02
    enough: float = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A level and what it was asked: for each record a free question and a weighed one.

    Attributes:
        shots: examples in each prompt, as many as fitted.
    """

    name: str
    kind: Kind
    free: tuple[Written, ...]
    weighed: tuple[Written, ...]
    shots: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Posed:
    """The records that are asked, the answers there are if they are a closed set, and what was passed over."""

    records: tuple[Record, ...]
    closed: tuple[str, ...]
    examples: tuple[Record, ...]
    passed_over: int


def strategy(spec: RunSpec, *, out: Path | None, wish: Wish, watch: Watch) -> dict[str, Any]:
    """Measure and advise; the result, which is written to the run's folder too.

    Raises:
        SpecError: too few held-out records can be asked.
        Interrupted: asked to stop; replies so far are kept.
    """
    from graftwork.pipeline.run import checked_and_prepared

    path = out or Path("runs") / spec.name
    with untouched(spec, path, watch) as (place, is_passing), RunFolder(place) as folder:
        work = Work(spec=spec, folder=folder, watch=watch)
        _, prepared = checked_and_prepared(work)
        result = _measured(work, prepared, wish)
        if not is_passing:
            write_json(place / RESULT, result)
    return result


def _measured(work: Work, prepared: Done, wish: Wish) -> dict[str, Any]:
    from graftwork.pipeline.sides import Side, Sides, sides_of

    is_tuned, why = _is_tuned(work, prepared)
    if is_tuned:
        sides: Sides | None = sides_of(work)
        base = sides.base if sides else None
    else:
        from graftwork.adapters.bank import AdapterBank

        sides, base = None, Side(bank=AdapterBank(work.base))
        work.watch.say(f"no tuned level: {why}")
    assert base is not None
    posed = _posed(work, wish)
    plain = _asked(work, posed, 0)
    levels = [plain, *(_asked(work, posed, num) for num in wish.shots if num)]
    replies = _replies(work, [(one, base, one.name) for one in levels])
    if sides is not None:
        tuned = Asked(name="tuned", kind="tuned", free=plain.free, weighed=plain.weighed, shots=plain.shots)
        levels.append(tuned)
        replies.update(_replies(work, [(tuned, sides.trained, "tuned")]))
        sides.close()
    return _told(work, posed, levels, replies, wish, why)


def _is_tuned(work: Work, prepared: Done) -> tuple[bool, str]:
    from graftwork.pipeline.train_inputs import train_inputs

    if "train" not in work.folder.steps():
        return False, "nothing is trained in this folder yet"
    is_open = bool(work.spec.stages) or work.spec.training.accumulation == "auto"  # its inputs are more than the recipe
    if not is_open and work.folder.still_done("train", train_inputs(work, prepared)) is None:
        return False, "what is trained there is of another recipe; run this one first"
    return True, ""


def _posed(work: Work, wish: Wish) -> Posed:
    held_out = list(prepared_records(work.folder.path / EVALUATION))
    can = [record for record in held_out if _can_be_asked(work, record)]
    chosen = tuple(can[: wish.num_records])
    if len(chosen) < FEWEST:
        hint = "Hold out more, or records that ask something and call no tools."
        raise SpecError([Problem("data.evaluation", len(chosen), f"at least {FEWEST} records to ask", hint)])
    train = work.folder.path / TRAIN
    closed = closed_set((record.answer for record in prepared_records(train)), [r.answer for r in chosen])
    never = {record.digest for record in held_out}
    most = max(wish.shots, default=0)
    seed = work.spec.training.seed
    examples = drawn(prepared_records(train), most, seed=seed, never=never, in_turn=closed)
    return Posed(records=chosen, closed=closed, examples=tuple(examples), passed_over=len(held_out) - len(can))


def _can_be_asked(work: Work, record: Record) -> bool:
    if not record.prompt or record.tools or record.is_text:
        return False
    return _written(work, record, (), ()) is not None


def _asked(work: Work, posed: Posed, shots: int) -> Asked:
    free, weighed, nums = [], [], []
    for record in posed.records:
        own = posed.examples[:shots]

        def fits(num: int, record: Record = record, own: tuple[Record, ...] = own) -> bool:
            return _written(work, record, own[:num], posed.closed) is not None

        num = as_many_as_fit(len(own), fits)
        both = _written(work, record, own[: num or 0], posed.closed)
        if (
            both is None
        ):  # options longer than an answer may be: without examples it was asked, so weigh the answer alone
            both = _written(work, record, (), ())
        assert both is not None
        free.append(both[0])
        weighed.append(both[1])
        nums.append(num or 0)
    kind: Kind = "few-shot" if shots else "zero-shot"
    name = f"{shots} examples" if shots else "no example"
    return Asked(name=name, kind=kind, free=tuple(free), weighed=tuple(weighed), shots=tuple(nums))


def _written(
    work: Work, record: Record, examples: Sequence[Record], closed: Sequence[str]
) -> tuple[Written, Written] | None:
    """The record as a free question and as a weighed one, the right answer first; None without room for either."""
    from graftwork.pipeline.evaluation.questions import CannotBeAsked, written

    prompt = with_examples(record, examples, has_template=bool(work.chat.template))
    options = (record.answer, *(answer for answer in closed if answer != record.answer))
    free = written(
        Question(prompt=prompt, max_new_tokens=work.spec.evaluation.max_new_tokens), work.chat, work.context_tokens
    )
    weighed = written(Question(prompt=prompt, options=options), work.chat, work.context_tokens)
    if isinstance(free, CannotBeAsked) or isinstance(weighed, CannotBeAsked):
        return None
    return free, weighed


def _replies(work: Work, asked: Sequence[tuple[Asked, Any, str]]) -> dict[str, dict[str, Reply]]:
    from graftwork.pipeline.evaluation.ask import ask
    from graftwork.pipeline.evaluation.batches import Room
    from graftwork.pipeline.evaluation.replies import FILE, ReplyLog
    from graftwork.pipeline.evaluation.subjects import at_hand

    log = ReplyLog(work.folder.path / FOLDER / FILE)
    room = Room(questions=work.spec.evaluation.batch_size, tokens=ROOM_TOKENS)
    found = {}
    for level, side, name in asked:
        subject: AtHand = at_hand(side, name=name, kind="adapter" if level.kind == "tuned" else "base")
        questions = {one.key: one for one in (*level.free, *level.weighed)}
        found[level.name] = ask([subject], questions, log, room=room, told=_told_to(work, name))[name]
    return found


def _told_to(work: Work, name: str) -> Callable[[int, int], None]:
    def told(done: int, total: int) -> None:
        work.watch.evaluating(name, done, total)
        work.stop_if_asked("replies so far are kept")

    return told


def _told(
    work: Work,
    posed: Posed,
    levels: Sequence[Asked],
    replies: Mapping[str, Mapping[str, Reply]],
    wish: Wish,
    why_untuned: str,
) -> dict[str, Any]:
    is_share = bool(posed.closed) or median(len(record.answer) for record in posed.records) <= LONGEST_ANSWER
    told = [_of_level(work, posed, level, replies[level.name]) for level in levels]
    for_advice = [_for_advice(level, one, is_share=is_share) for level, one in zip(levels, told, strict=True)]
    margin = wish.margin if is_share else wish.margin * min(one["bits_per_byte"]["mean"] for one in told)
    advice = advise(for_advice, margin=margin, enough=wish.enough if is_share else None, are_shares=is_share)
    return {
        "num_records": len(posed.records),
        "passed_over": posed.passed_over,
        "closed_set": list(posed.closed),
        "main": "exact" if is_share else "bits_per_byte",
        "margin": margin,
        "enough": wish.enough,
        "untuned_because": why_untuned,
        "training": _of_training(work),
        "levels": [{key: value for key, value in one.items() if key != "scores"} for one in told],
        "examples_from": [str(record.origin) for record in posed.examples],
        "advice": _plain(advice),
    }


def _of_level(work: Work, posed: Posed, level: Asked, replies: Mapping[str, Reply]) -> dict[str, Any]:
    free = [replies[one.key] for one in level.free]
    weighed = [replies[one.key] for one in level.weighed]
    exact = [float(r.said.strip() == record.answer.strip()) for r, record in zip(free, posed.records, strict=True)]
    bits = [reply.nats[0] / log(2) for reply in weighed]
    sizes = [float(len(record.answer.encode())) for record in posed.records]
    likeliest = [float(min(range(len(r.nats)), key=r.nats.__getitem__) == 0) for r in weighed]
    room = work.spec.evaluation.max_new_tokens
    return {
        "name": level.name,
        "kind": level.kind,
        "fewest_examples": min(level.shots),
        "exact": _interval([Score(one) for one in exact], are_shares=True),
        **({"choice": _interval([Score(one) for one in likeliest], are_shares=True)} if posed.closed else {}),
        "bits_per_byte": _interval([Score(b, s) for b, s in zip(bits, sizes, strict=True)], are_shares=False),
        "prompt_tokens": round(mean(one.num_tokens - room for one in level.free), 1),
        "scores": {"exact": exact, "bits_per_byte": [-b / s for b, s in zip(bits, sizes, strict=True)]},
    }


def _for_advice(level: Asked, told: Mapping[str, Any], *, is_share: bool) -> Level:
    main = "exact" if is_share else "bits_per_byte"
    scores = tuple(told["scores"][main])
    return Level(
        name=level.name,
        kind=level.kind,
        scores=scores,
        low=_interval([Score(one) for one in scores], are_shares=is_share)["low"],
        prompt_tokens=told["prompt_tokens"],
    )


def _interval(scores: Sequence[Score], *, are_shares: bool) -> dict[str, float]:
    alone = [str(number) for number in range(len(scores))]
    told = measured(sample_of(metric_of(are_shares=are_shares), scores, alone))
    low, high = (told.value if end is None else end for end in (told.low, told.high))  # None: all are the same
    return {"mean": told.value, "low": low, "high": high}


def _of_training(work: Work) -> dict[str, Any]:
    done = work.folder.steps().get("train")
    return {"seconds": done.seconds, "num_params": done.summary["num_params"]} if done else {}


def _plain(advice: Advice) -> dict[str, Any]:
    return {**asdict(advice), "reasons": list(advice.reasons), "steps": [asdict(step) for step in advice.steps]}
