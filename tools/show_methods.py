"""Write docs/reference/methods.md: every adapter method with what the code says of it.

python tools/show_methods.py
"""

from collections.abc import Mapping
from math import prod
from pathlib import Path

import torch

from graftwork.adapters.adapter import Adapter, Placed
from graftwork.adapters.asked import Asked, places_of
from graftwork.adapters.file_form import FORMS
from graftwork.adapters.forms import LIKELIEST
from graftwork.adapters.method import METHODS, Method
from graftwork.adapters.wanted import parse_adapter_spec
from graftwork.base.facts import BaseFacts
from graftwork.base.load import facts_from_config
from graftwork.base.locate import locate

BASE = "bundled:smollm2-135m-instruct"
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "methods.md"
WHERE = {
    "linear": "linear layers",
    "block": "sub-layers",
    "attention_cache": "attention",
    "input_embedding": "input",
}
HEAD = """\
# Adapter methods

Written by `tools/show_methods.py` from the catalog; a test holds it to the code. Parameters are those of a request with
nothing but its method, on the bundled base (134.5 million parameters). "Start" says what a fresh adapter gives. "Other
tools read" is the `peft_type` that an adapter is written as.

| method | acts at | parameters | start | merges | other tools read | source |
|---|---|---|---|---|---|---|
"""


def page() -> str:
    """The page as it should be."""
    facts = facts_from_config(locate(BASE))
    rows = [row(METHODS[name], facts) for name in METHODS]
    return HEAD + "".join(rows) + "\n" + "\n".join(map(fields, (METHODS[name] for name in METHODS)))


def row(method: Method, facts: BaseFacts) -> str:
    """A row of the table."""
    asked = places_of(parse_adapter_spec({"method": method.name}), facts)
    num_params = sum(
        prod(shape)
        for here in asked.values()
        for name, shape in here.method.shapes(here.spec, here.place).items()
        if name not in here.method.kept
    )
    start = {"exact": "exactly the base", "nearly": "the base", "no": "another model"}[method.neutral]
    cells = (
        f"`{method.name}`",
        WHERE[method.site],
        f"{num_params:,}",
        start,
        "yes" if method.merges else "no",
        read_as(method, asked),
        f"[{method.source.removeprefix('https://')}]({method.source})",
    )
    return f"| {' | '.join(cells)} |\n"


def read_as(method: Method, asked: Mapping[str, Asked]) -> str:
    """The form that an adapter is written in."""
    if method.plain:
        return "LORA"
    placed = {}
    for key, here in asked.items():
        shapes = here.method.shapes(here.spec, here.place)
        params = {name: torch.ones(()).expand(shape) for name, shape in shapes.items()}
        placed[key] = Placed(place=here.place, method=here.method, spec=here.spec, params=params)
    adapter = Adapter(spec=parse_adapter_spec({"method": method.name}), placed=placed)
    name = next(name for name in LIKELIEST if FORMS[name].holds(adapter))
    return "nothing: our own form" if name == "GRAFTWORK" else name


def fields(method: Method) -> str:
    """The settings of a method."""
    lines = [f"## {method.name}\n"]
    for name, field in method.spec.model_fields.items():
        if name != "method":
            default = "" if field.is_required() else f" (`{shown(field.default)}`)"
            lines.append(f"- `{name}`{default}: {' '.join((field.description or '').split())}")
    return "\n".join(lines) + "\n"


def shown(default: object) -> str:
    """A default as a recipe would have it."""
    if default is None:
        return "absent"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return f"[{', '.join(map(str, default))}]"
    return f"{default:g}" if isinstance(default, float) else str(default)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
