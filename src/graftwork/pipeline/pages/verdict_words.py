"""What an evaluation found, in one sentence that needs no statistics, in both languages. Pure."""

from collections.abc import Mapping, Sequence

from graftwork.core.units import count_text
from graftwork.evaluation.result import EvaluationResult, Kind, Subject, Verdict
from graftwork.pipeline.pages.subjects import Called, called, main_subject
from graftwork.pipeline.pages.words import Both, label, term

ORDER: tuple[Verdict, ...] = ("better", "worse", "not worse", "not shown")
"""As a sentence names them: what changed first."""
KINDS: tuple[Kind, ...] = ("base", "full", "below", "adapter")
"""References in the order in which a sentence names them."""


BRIEF: tuple[Verdict, ...] = ("better", "worse", "not shown")
"""What a headline tells of; it says that nothing else happened by saying nothing."""


def headline(result: EvaluationResult) -> Both:
    """The main subject beside its base, and in how many dimensions it keeps up with full tuning if there is one."""
    subject = main_subject(result.subjects)
    if subject is None:
        return label("evaluated_nothing_trained", items=count_text(num_items(result)))
    names, found = called(result.subjects), _references(result, subject.name)
    bases = [name for name in found if names[name].kind == "base"]
    if not bases:
        return label("evaluated_without_reference", items=count_text(num_items(result)))
    told = _beside(result, subject.name, bases[0], BRIEF)
    first = label("said_first", subject=names[subject.name].said, reference=names[bases[0]].said, told=told)
    rest = [_keeps_up(result, subject.name, names[name]) for name in found if names[name].kind == "full"]
    return _sentence([first, *rest])


def others(result: EvaluationResult) -> list[Both]:
    """Every adapter, and a model tuned whole, beside all that it was compared with: a whole sentence each."""
    trained = [one for one in result.subjects if one.kind in ("adapter", "full")]
    told = [sentence(result, one) for one in trained]
    return [one for one in told if one and one != headline(result)]


def sentence(result: EvaluationResult, subject: Subject) -> Both | None:
    """`subject` beside everyone it was compared with in dimensions; None where it was compared with nobody."""
    names = called(result.subjects)
    references = sorted(_references(result, subject.name), key=lambda name: KINDS.index(names[name].kind))
    told: list[Both] = []
    for reference in references:
        key = "said_next" if told else "said_first"
        what = _beside(result, subject.name, reference, ORDER)
        told.append(label(key, subject=names[subject.name].said, reference=names[reference].said, told=what))
    return _sentence(told) if told else None


def num_items(result: EvaluationResult) -> int:
    """Items of all dimensions."""
    return sum(one.num_items for one in result.dimensions)


def _references(result: EvaluationResult, subject: str) -> list[str]:
    told = [one.reference for dimension in result.dimensions for one in dimension.verdicts if one.subject == subject]
    return list(dict.fromkeys(told))


def _found(result: EvaluationResult, subject: str, reference: str) -> Mapping[Verdict, list[Both]]:
    """The dimensions of each verdict."""
    found: dict[Verdict, list[Both]] = {verdict: [] for verdict in ORDER}
    for dimension in result.dimensions:
        for one in dimension.verdicts:
            if (one.subject, one.reference) == (subject, reference):
                found[one.verdict].append(term("dimension", dimension.name))
    return found


def _beside(result: EvaluationResult, subject: str, reference: str, order: Sequence[Verdict]) -> Both:
    found = _found(result, subject, reference)
    told = [verdict for verdict in order if found[verdict]] or [verdict for verdict in ORDER if found[verdict]]
    parts = [label(f"said_{verdict.replace(' ', '_')}", where=listed(found[verdict])) for verdict in told]
    is_all_known = not found["worse"] and not found["not shown"] and sum(map(len, found.values())) > 1
    if found["better"] and is_all_known:
        parts.insert(1, label("said_worse_nowhere"))
    return _commas(parts)


def _keeps_up(result: EvaluationResult, subject: str, full: Called) -> Both:
    found = _found(result, subject, full.name)
    kept, num = len(found["better"]) + len(found["not worse"]), sum(map(len, found.values()))
    return label("said_keeps_up", reference=full.said, kept=kept, num=num)


def _sentence(parts: Sequence[Both]) -> Both:
    return f"{'; '.join(one[0] for one in parts)}.", f"{'；'.join(one[1] for one in parts)}。"


def listed(words: Sequence[Both]) -> Both:
    """Words as a list in a sentence.

    >>> listed([("a", "甲"), ("b", "乙"), ("c", "丙")])
    ('a, b and c', '甲、乙、丙')
    """
    english = [one[0] for one in words]
    joined = english[0] if len(english) == 1 else f"{', '.join(english[:-1])} and {english[-1]}"
    return joined, "、".join(one[1] for one in words)


def _commas(told: Sequence[Both]) -> Both:
    return ", ".join(one[0] for one in told), "，".join(one[1] for one in told)
