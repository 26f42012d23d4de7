"""The report on an evaluation as a page: the verdict first, then what it rests on, and what it does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from graftwork.evaluation.result import DimensionResult, EvaluationResult, PairVerdict
from graftwork.pipeline.pages.curves import charts_of
from graftwork.pipeline.pages.evaluation_parts import Contrast, Panel, Subjects, changes_of, panel_of
from graftwork.pipeline.pages.evaluation_words import GLOSSARY
from graftwork.pipeline.pages.limits import COST, FORGETTING, general_settings, limits_of, notes_of, settings_of
from graftwork.pipeline.pages.metric_words import ABOUT
from graftwork.pipeline.pages.page import Language, rendered
from graftwork.pipeline.pages.subjects import Called, called, main_subject
from graftwork.pipeline.pages.verdict_words import headline, num_items, others
from graftwork.pipeline.pages.words import Both, term, titled


@dataclass(frozen=True, kw_only=True, slots=True)
class Certified:
    """Whether the subjects were evaluated on equal terms, as the certificate has it.

    Attributes:
        reasons: why it is refused, all of them.
        digest: of the certificate; empty where there is none.
    """

    status: Literal["holds", "refused", "none"] = "none"
    reasons: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Background:
    """What is known of a run beside its evaluation.

    Attributes:
        metrics: rows of its training's metrics, for the learning curves.
        data: its data report; empty when there is none.
        lineage: where the adapter comes from: what, and its value.
    """

    certified: Certified = Certified()
    metrics: Sequence[Mapping[str, Any]] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    lineage: Sequence[tuple[Both, str]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A dimension on the page: its main metrics one by one, the others together."""

    name: Both
    about: Both
    told: DimensionResult
    main: Sequence[Panel]
    rest: Sequence[Panel]
    verdicts: Sequence[tuple[PairVerdict, Called, Called]]
    changes: Sequence[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """Differences of a metric to the base, for the picture of gain and cost."""

    dimension: Both
    panel: Panel
    contrasts: Sequence[Contrast]


def evaluation_page(
    result: EvaluationResult, *, name: str, language: Language = "en", background: Background | None = None
) -> str:
    """One file of HTML that shows `result` of the run called `name`, and opens in `language`."""
    known = background or Background()
    subjects = called(result.subjects)
    sections = [_section(one, subjects) for one in result.dimensions]
    gains, lost = gains_of(sections)
    values = {
        "name": name,
        "headline": headline(result),
        "others": others(result),
        "shown": _at_a_glance(result),
        "subjects": list(subjects.values()),
        "called": subjects,
        "told": {one.name: one for one in result.subjects},
        "num_items": num_items(result),
        "sections": sections,
        "gains": gains,
        "lost": lost,
        "has_forgetting": result.dimension(FORGETTING) is not None,
        "certified": known.certified,
        "charts": charts_of(known.metrics),
        "data": known.data,
        "mode": term("mode", known.data["personal_data"]["mode"]) if known.data else None,
        "lineage": known.lineage,
        "settings": settings_of(result),
        "general": general_settings(result),
        "limits": limits_of(result, has_certificate=known.certified.status != "none"),
        "notes": notes_of(result),
        "words": GLOSSARY,
    }
    return rendered("evaluation.html", values, language)


def _at_a_glance(result: EvaluationResult) -> set[str]:
    """Whose verdicts the overview has: the adapters', and those of full tuning where there is no adapter."""
    main = main_subject(result.subjects)
    return {one.name for one in result.subjects if main is not None and one.kind == main.kind}


def _section(dimension: DimensionResult, subjects: Subjects) -> Section:
    panels = [panel_of(metric, subjects, dimension.name) for metric in dimension.metrics if metric.values]
    return Section(
        name=titled(term("dimension", dimension.name)),
        about=(dimension.about, ABOUT.get(dimension.name, dimension.about)),
        told=dimension,
        main=[panel for panel in panels if panel.metric.is_main],
        rest=[panel for panel in panels if not panel.metric.is_main],
        verdicts=[(one, subjects[one.subject], subjects[one.reference]) for one in dimension.verdicts],
        changes=changes_of(dimension, subjects),
    )


def gains_of(sections: Sequence[Section]) -> tuple[list[Gain], list[Gain]]:
    """Main differences of what was trained to the base: in its field, and of what the base knew before."""
    gains: list[Gain] = []
    lost: list[Gain] = []
    for section in sections:
        if section.told.name == COST:
            continue
        side = lost if section.told.name == FORGETTING else gains
        for panel in section.main:
            contrasts = [one for one in panel.contrasts if one.reference.kind == "base"]
            if contrasts:
                side.append(Gain(dimension=section.name, panel=panel, contrasts=contrasts))
    return gains, lost
