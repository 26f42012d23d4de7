"""The model card: what a finished adapter is, for whoever finds its folder, as Markdown in one language. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graftwork.core.units import count_text
from graftwork.evaluation.result import EvaluationResult
from graftwork.pipeline.pages.card_words import CARD
from graftwork.pipeline.pages.figures import share_text
from graftwork.pipeline.pages.limits import limits_of, notes_of
from graftwork.pipeline.pages.markdown import code, inline, quoted, table
from graftwork.pipeline.pages.numbers import Shown, measured_shown
from graftwork.pipeline.pages.page import Language
from graftwork.pipeline.pages.subjects import called
from graftwork.pipeline.pages.verdict_words import headline, others
from graftwork.pipeline.pages.words import metric_word, term, titled

TOLD = ("intended_use", "not_for", "data_told", "licence", "contact")
MOST_FILES = 20
LOAD_MODEL = """```python
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("FOLDER")
```"""
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(?:@\w+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """What a card is made of.

    Attributes:
        told: what people said, by the names of `CardSpec`.
        recipe: the effective recipe, plain.
        card: of the adapter or of the model that was tuned whole, plain: base, digest, provenance.
        training: what the training reported.
        data: the data report; empty when there is none.
        is_exchangeable: other tools can read the adapter.
        has_certificate: the evaluation has a certificate.
    """

    name: str
    told: Mapping[str, str | None]
    recipe: Mapping[str, Any]
    recipe_digest: str
    card: Mapping[str, Any]
    training: Mapping[str, Any]
    data: Mapping[str, Any] = field(default_factory=dict)
    result: EvaluationResult | None = None
    is_exchangeable: bool = True
    has_certificate: bool = False


def model_card(facts: CardFacts, language: Language = "en") -> str:
    """The card as one text."""
    say = _Speaker(1 if language == "zh" else 0)
    parts = [
        _front(facts),
        f"# {inline(facts.name)}",
        say("made_by", base=facts.recipe["base"]),
        *_verdict(facts, say),
        *_told(facts, say),
        *(_data(facts, say) if facts.data else ()),
        *_training(facts, say),
        *_evaluation(facts, say),
        *_limits(facts, say),
        *_load(facts, say),
        *_origin(facts, say),
    ]
    return "\n\n".join(parts) + "\n"


@dataclass(frozen=True, slots=True)
class _Speaker:
    side: int

    def __call__(self, key: str, **values: object) -> str:
        return CARD[key][self.side].format(**values)

    def of(self, both: tuple[str, str]) -> str:
        return both[self.side]


def _front(facts: CardFacts) -> str:
    """What hubs read: JSON values, which are YAML too."""
    base, method = str(facts.recipe["base"]), str(facts.recipe["adapter"].get("method", "full"))
    told: dict[str, Any] = {"library_name": "peft", "pipeline_tag": "text-generation", "tags": ["graftwork", method]}
    if HUB_NAME.fullmatch(base):
        told["base_model"] = base.partition("@")[0]
    if facts.told.get("licence"):
        told["license"] = facts.told["licence"]
    if any("zh" in script for script in facts.data.get("languages", {})):
        told["language"] = ["zh"]
    return "\n".join(
        ["---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in told.items()), "---"]
    )


def _verdict(facts: CardFacts, say: _Speaker) -> Iterator[str]:
    yield f"## {say('verdict')}"
    if facts.result is None:
        yield say("not_evaluated")
        return
    yield f"**{inline(say.of(headline(facts.result)))}**"
    if more := others(facts.result):
        yield "\n".join(f"- {inline(say.of(one))}" for one in more)


def _told(facts: CardFacts, say: _Speaker) -> Iterator[str]:
    yield f"## {say('told')}"
    for key in TOLD:
        yield f"**{say(key)}**"
        words = facts.told.get("data" if key == "data_told" else key)
        yield quoted(words) if words else say("nobody_told")


def _data(facts: CardFacts, say: _Speaker) -> Iterator[str]:
    data = facts.data
    train, held = data["train"]["num_records"], data["evaluation"]["num_records"]
    counts = {
        "rows": data["num_rows"],
        "used": train + held,
        "kept_back": data["num_rows"] - train - held,
        "train": train,
        "held": held,
    }
    yield f"## {say('data')}"
    yield say("counts", **{name: count_text(num) for name, num in counts.items()})
    if languages := data["languages"]:
        told = ", ".join(f"{inline(say.of(term('script', name)))} {count_text(num)}" for name, num in languages.items())
        yield say("languages", told=told)
    personal = data["personal_data"]
    if personal["mode"] == "off":
        yield say("personal_off")
    else:
        mode = say.of(term("mode", personal["mode"]))
        yield say("personal_on", num=count_text(personal["num_records"]), mode=mode)
    if sources := data.get("sources"):
        yield _files(sources, say)


def _files(sources: Sequence[Mapping[str, Any]], say: _Speaker) -> str:
    shown, rest = sources[:MOST_FILES], sources[MOST_FILES:]
    rows = [[code(one["file"]), count_text(one["num_rows"]), count_text(one["num_usable"])] for one in shown]
    if rest:
        sums = (sum(one[key] for one in rest) for key in ("num_rows", "num_usable"))
        rows.append([say("more_files", num=count_text(len(rest))), *map(count_text, sums)])
    return table([say("file"), say("rows"), say("usable")], rows)


def _training(facts: CardFacts, say: _Speaker) -> Iterator[str]:
    recipe, told = facts.recipe, facts.training
    adapter = {
        key: ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        for key, value in recipe["adapter"].items()
        if value is not None
    }
    share = share_text(told["num_params"], told["num_base_params"])
    rows = {
        "method": "; ".join(f"{key}: {value}" for key, value in adapter.items()),
        "trained_numbers": say("of_base", num=count_text(told["num_params"]), share=share),
        "steps": count_text(told["num_steps"]),
        "rate": str(recipe["training"]["learning_rate"]) if "training" in recipe else "",
        "seed": str(facts.card["provenance"].get("seed", "")),
        "dtype": str(recipe["dtype"]),
    }
    yield f"## {say('training')}"
    yield table(["", ""], [[say(key), inline(value)] for key, value in rows.items() if value])


def _evaluation(facts: CardFacts, say: _Speaker) -> Iterator[str]:
    result = facts.result
    if result is None:
        return
    subjects = called(result.subjects)
    rows = []
    for dimension in result.dimensions:
        shown = [one for one in dimension.metrics if one.is_main] or list(dimension.metrics)
        for metric in shown:
            found = [metric.of(name) for name in subjects]
            cells = ["–" if one is None else _cell(measured_shown(metric, one.measured)) for one in found]
            name = inline(say.of(titled(term("dimension", dimension.name))))
            rows.append([name, f"{inline(say.of(metric_word(metric.name)))} ({inline(metric.unit)})", *cells])
    yield f"## {say('evaluation')}"
    yield say("evaluation_about")
    heads = [inline(say.of(one.word)) for one in subjects.values()]
    yield table([say("dimension"), say("metric"), *heads], rows)


def _cell(shown: Shown) -> str:
    if shown.low is None or shown.high is None:
        return shown.number.text
    return f"{shown.number.text} ({shown.low.text} – {shown.high.text})"


def _limits(facts: CardFacts, say: _Speaker) -> Iterator[str]:
    told = [say("limit_base")]
    if facts.result is not None:
        told += [inline(say.of(one)) for one in limits_of(facts.result, has_certificate=facts.has_certificate)]
        told += [inline(note) for _, note in notes_of(facts.result)]
    yield f"## {say('limits')}"
    yield "\n".join(f"- {one}" for one in told)


def _load(facts: CardFacts, say: _Speaker) -> Iterator[str]:
    base = str(facts.recipe["base"])
    yield f"## {say('load')}"
    yield say("load_here")
    yield '```\ngraftwork chat FOLDER --prompt "..."\n```'
    if facts.card.get("kind") == "model":
        yield LOAD_MODEL
        return
    if not facts.is_exchangeable:
        yield say("load_own")
        return
    yield say("load_peft")
    quoted_base = json.dumps(base, ensure_ascii=False)
    yield (
        "```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
        f"base = AutoModelForCausalLM.from_pretrained({quoted_base})\n"
        'model = PeftModel.from_pretrained(base, "FOLDER")\n```'
    )
    if base.startswith("bundled:"):
        yield say("load_bundled", base=base)


def _origin(facts: CardFacts, say: _Speaker) -> Iterator[str]:
    card = facts.card
    provenance = card["provenance"]
    data, versions = provenance.get("data", {}), provenance.get("versions", {})
    rows = {
        "base": card["base"]["ref"],
        "weights": card["base"]["weights"],
        "template": card["base"]["template"],
        "adapter": card["digest"],
        "stands_on": (card.get("on") or {}).get("digest", ""),
        "recipe": facts.recipe_digest,
        "train_data": data.get("train", ""),
        "held_data": data.get("evaluation", ""),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }
    yield f"## {say('origin')}"
    yield table(["", ""], [[say(key), code(value)] for key, value in rows.items() if value])
