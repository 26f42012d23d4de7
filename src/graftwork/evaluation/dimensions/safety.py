"""Safety: what answers should not hold, what they should not depend on, and what they should not give away.

    records   answers to held-out questions           sensitive words, personal data; of long prompts, unsupported facts
    refusals  harmless questions that look harmful    refusals (and sensitive words, personal data)
    grounded  questions about a text in the prompt    numbers, dates and names that the text does not have
    bias      prompts that differ in one attribute    how much the answer depends on it
    canaries  planted secrets                         exposure, and whether they are said word for word

All of it are rules and likelihoods, English and Chinese; no model judges, unless one is asked for by `entailment`. To
see none of something is no proof that there is none: the interval of each share says how many there may be.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator

from graftwork.core.errors import Problem, SpecError, did_you_mean
from graftwork.core.spec import Spec
from graftwork.data.facts.support import ENTAILMENTS
from graftwork.evaluation.dimension import DIMENSIONS, Dimension, Given, Metric
from graftwork.evaluation.draw import draw, named, why_not_asked
from graftwork.evaluation.item import Item

Part = Literal["records", "refusals", "grounded", "bias"]


class SafetySpec(Spec):
    """What is looked for."""

    kind: Literal["safety"] = "safety"
    """What answers should not hold, depend on or give away."""

    parts: tuple[Part, ...] = Field(default=("records", "refusals", "grounded", "bias"), min_length=1)
    """What is looked at; all of it by default. Canaries are looked at where `canaries` names a file."""

    records: int = Field(default=100, ge=1, le=1_000_000)
    """Held-out records that are answered and searched, drawn by the seed; at most all of them. None seen in 100 may
    still be up to 4 in 100."""

    shipped_words: tuple[Literal["en", "zh"], ...] = ("en", "zh")
    """Lists of sensitive words that come with graftwork. They are short: a floor, not a filter."""

    lexicons: tuple[str, ...] = Field(default=(), max_length=100)
    """Files with sensitive words of one's own: UTF-8, one a line."""

    personal_kinds: tuple[str, ...] = ()
    """Personal data that is counted, as in data.privacy.kinds. Empty: all but names alone."""

    source_characters: int = Field(default=400, ge=1)
    """A held-out prompt of so many characters is a source that its answer must keep to."""

    bias_pairs: str | None = Field(default=None, min_length=1)
    """A CSV file in the form of CrowS-Pairs, whose sentences are weighed besides our own prompts."""

    canaries: str | None = Field(default=None, min_length=1)
    """A file of canaries, as `graftwork canaries make` writes it, that is among the training sources too."""

    candidates: int = Field(default=128, ge=16, le=4096)
    """Secrets that each canary's own is ranked among: exposure is at most log2 of it, 7 bits for 128."""

    entailment: str | None = Field(default=None, min_length=1)
    """A model that says whether an answer follows from its source, beside the rules. None is shipped."""

    @field_validator("personal_kinds")
    @classmethod
    def _are_known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        from graftwork.data.privacy.choice import names_of_kinds

        known = names_of_kinds() if kinds else []
        problems = [
            Problem("", kind, f"one of {', '.join(known)}", did_you_mean(kind, known))
            for kind in kinds
            if kind not in known
        ]
        if problems:
            raise SpecError(problems)
        return kinds

    @field_validator("entailment")
    @classmethod
    def _is_there(cls, name: str | None) -> str | None:
        if name is not None and name not in ENTAILMENTS:
            there = ", ".join(ENTAILMENTS) or "none is installed"
            hint = "None is shipped; leave it out, and rules alone compare numbers, dates and names."
            raise SpecError([Problem("", name, f"an entailment model ({there})", hint)])
        return name


METRICS = (
    Metric(
        name="sensitive_answers",
        unit="share of answers",
        better="less",
        about="Answers with words of the lists, however they are written, that the right answer does not have.",
        is_share=True,
        is_main=True,
    ),
    Metric(
        name="personal_data",
        unit="share of answers",
        better="less",
        about="Answers with personal data that is neither in the prompt nor in the right answer.",
        is_share=True,
        is_main=True,
    ),
    Metric(
        name="refused_harmless",
        unit="share of answers",
        better="less",
        about="Harmless questions that were refused because they look harmful.",
        is_share=True,
        is_main=True,
    ),
    Metric(
        name="unsupported_answers",
        unit="share of answers",
        better="less",
        about="Answers with a number, date or name that their source does not have.",
        is_share=True,
        is_main=True,
    ),
    Metric(
        name="unsupported_facts",
        unit="share of facts",
        better="less",
        about="Numbers, dates and names in answers that their source does not have.",
    ),
    Metric(
        name="not_entailed",
        unit="share of answers",
        better="less",
        about="Answers that do not follow from their source, says the entailment model that was asked for.",
        is_share=True,
    ),
    Metric(
        name="bias_gap",
        unit="nats",
        better="less",
        about="How far the odds of an answer move with one attribute of a person; 0 is not at all.",
        is_main=True,
    ),
    Metric(
        name="bias_flips",
        unit="share of pairs of prompts",
        better="less",
        about="Pairs of prompts whose answer changes with one attribute of a person.",
        is_share=True,
    ),
    Metric(
        name="stereotype_preferred",
        unit="share of pairs of sentences",
        better="less",
        about="Pairs where the stereotyping sentence is the likelier one; one half is no preference.",
        is_share=True,
    ),
    Metric(
        name="exposure",
        unit="bits",
        better="less",
        about="How far a planted secret stands out among others like it; 1.4 bits by chance.",
        is_main=True,
    ),
    Metric(
        name="extracted",
        unit="share of canaries",
        better="less",
        about="Planted secrets that the greedy answer says word for word.",
        is_share=True,
        is_main=True,
    ),
    Metric(
        name="exposure_unseen",
        unit="bits",
        better="less",
        about="The same of canaries that were held out: what chance alone gives.",
    ),
)


def items(spec: SafetySpec, given: Given) -> Iterator[Item]:
    """The items of every part that is asked for."""
    from graftwork.data.lexicons.lexicon import Lexicon, read_list, shipped
    from graftwork.evaluation.canaries import read_canaries  # here: what recipes import stays light
    from graftwork.evaluation.safety import answers, bias, secrets

    searched = answers.Searched(
        lexicon=Lexicon([*shipped(spec.shipped_words), *(word for path in spec.lexicons for word in read_list(path))]),
        personal=answers.personal_finder(spec.personal_kinds),
        source_characters=spec.source_characters,
        max_new_tokens=given.max_new_tokens,
        entailment=ENTAILMENTS[spec.entailment]() if spec.entailment else None,
    )
    if "records" in spec.parts:
        fit = [one for one in named(given.held_out) if not why_not_asked(one.record)]
        yield from (answers.record_item(one, searched) for one in draw(fit, spec.records, seed=given.seed))
    if "refusals" in spec.parts:
        yield from answers.harmless_items(searched)
    if "grounded" in spec.parts:
        yield from answers.grounded_items(searched)
    if "bias" in spec.parts:
        yield from bias.own_items()
    if spec.bias_pairs:
        yield from bias.read_items(spec.bias_pairs)
    if spec.canaries:
        yield from secrets.canary_items(read_canaries(spec.canaries), given, num_candidates=spec.candidates)


DIMENSIONS.add(
    "safety",
    Dimension(
        name="safety",
        about="What answers should not hold, depend on or give away.",
        metrics=METRICS,
        spec=SafetySpec,
        items=items,
        paths=("lexicons", "bias_pairs", "canaries"),
    ),
)
