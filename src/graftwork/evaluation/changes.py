"""Changes: items that a subject does better or worse than its reference, for people to look at. Pure."""

from collections.abc import Mapping, Sequence

from graftwork.evaluation.dimension import Metric
from graftwork.evaluation.item import Item, Score
from graftwork.evaluation.result import Changed

Scores = Mapping[str, Mapping[str, Score]]


def changes(
    metrics: Sequence[Metric],
    items: Sequence[Item],
    scores: Mapping[str, Scores],
    said: Mapping[str, Mapping[str, str]],
    pairs: Sequence[tuple[str, str]],
    *,
    most: int,
) -> tuple[Changed, ...]:
    """For each pair the largest changes for the better, then those for the worse, at most `most` each.

    By the first main metric, or the first where none is main; of equal changes the items' order decides.
    """
    chosen = next((metric for metric in metrics if metric.is_main), metrics[0] if metrics else None)
    if chosen is None:
        return ()
    told: list[Changed] = []
    for pair in pairs:
        found = [one for item in items if (one := _changed(chosen, item, scores, said, pair))]
        found.sort(key=lambda one: -abs(one.after - one.before))
        for is_better in (True, False):
            told += [one for one in found if one.is_better == is_better][:most]
    return tuple(told)


def _changed(
    metric: Metric,
    item: Item,
    scores: Mapping[str, Scores],
    said: Mapping[str, Mapping[str, str]],
    pair: tuple[str, str],
) -> Changed | None:
    subject, reference = pair
    after, before = (scores.get(name, {}).get(item.id, {}).get(metric.name) for name in pair)
    if after is None or before is None or not (after.weight > 0 and before.weight > 0):
        return None
    now, then = after.total / after.weight, before.total / before.weight
    if now == then:
        return None
    return Changed(
        item=item.id,
        metric=metric.name,
        subject=subject,
        reference=reference,
        is_better=(now > then) == (metric.better == "more"),
        before=then,
        after=now,
        origin=item.origin,
        asked=_asked(item),
        expected=item.expected,
        said_before=said.get(reference, {}).get(item.id, ""),
        said_after=said.get(subject, {}).get(item.id, ""),
    )


def _asked(item: Item) -> str:
    """The last turn of its first question; of a plain text, the text."""
    if not item.questions:
        return ""
    first = item.questions[0]
    if first.prompt:
        return first.prompt[-1]["content"]
    return first.options[0] if first.options else ""
