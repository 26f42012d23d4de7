"""Specs: frozen requests, and the reader that says all that is wrong with one in our words."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from graftwork.core.errors import Problem, SpecError, did_you_mean

S = TypeVar("S", bound="Spec")
OFF = Annotated[Literal["off"], Tag("off")]
"""With `Annotated[SomeSpec, Tag("a mapping")] | OFF` and `by_form`: settings, or none."""


def _form(value: object) -> str:
    return "off" if isinstance(value, str) else "a mapping"


by_form = Discriminator(_form)
"""Tells settings from "off" by what they are, so that a mistake within settings is told as one."""

EXPECTED = {
    "missing": "a value; it has no default",
    "extra_forbidden": "no such key",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "greater_than": "a value > {gt}",
    "greater_than_equal": "a value >= {ge}",
    "less_than": "a value < {lt}",
    "less_than_equal": "a value <= {le}",
    "too_short": "{min_length} or more entries",
    "too_long": "at most {max_length} entries",
    "string_too_short": "text that is not empty",
    "string_pattern_mismatch": "text of another form",
    "union_tag_invalid": "one of {expected_tags}",
    "union_tag_not_found": "a mapping with the key {discriminator}",
}


class Spec(BaseModel):
    """A frozen request. Unknown keys are refused; the only coercion is integer to number."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    @classmethod
    def filled(cls, raw: Any) -> Any:
        """Plain data with what is said in it only once put wherever it belongs, before it is read; usually as it is."""
        return raw


def parse(cls: type[S], raw: object) -> S:
    """Build a spec from decoded YAML, JSON or flags.

    Raises:
        SpecError: all unknown keys, missing keys, wrong types and values out of range, together;
            once each field is right by itself, also values that contradict each other.
    """
    try:  # through JSON, so that a list may fill a tuple
        return cls.model_validate_json(json.dumps(cls.filled(plain_data(raw))))
    except ValidationError as error:
        raise SpecError(p for detail in error.errors() for p in _in_words(cls, detail)) from error


def _in_words(cls: type[Spec], detail: ErrorDetails) -> Iterator[Problem]:
    kind, context = detail["type"], detail.get("ctx", {})
    path, owner, field = _located(cls, detail["loc"])
    own = context.get("error")
    if isinstance(own, SpecError):  # raised by a spec's own validator
        yield from (replace(p, path=f"{path}.{p.path}".strip(".")) for p in own.problems)
        return
    given: object = None if kind == "missing" else detail["input"]
    hint = field.description or "" if field else f"Known keys: {', '.join(owner.model_fields)}."
    if kind == "too_short" and isinstance(given, list) and len(given) >= context["min_length"]:
        return  # its entries are wrong, which is told of each of them
    if kind.startswith("union_tag"):
        path, given, hint, context = _union_in_words(path, given, hint, context)
    if kind == "extra_forbidden":
        hint = did_you_mean(str(detail["loc"][-1]), owner.model_fields) or hint
    if kind == "literal_error":
        hint = did_you_mean(str(given), re.findall("'(.*?)'", str(context.get("expected")))) or hint
    said = detail["msg"].removeprefix("Input should be ")
    expected = EXPECTED[kind].format_map(context) if kind in EXPECTED else said
    yield Problem(path or "recipe", given, expected, " ".join(hint.split()))


def _union_in_words(path: str, given: Any, hint: str, context: Mapping[str, Any]) -> tuple[str, Any, str, Any]:
    """Of a union that none of its forms fits: where its form is told, what is told there, and what there is."""
    discriminator = str(context.get("discriminator", "")).strip("'")
    tags = re.findall("'(.*?)'", str(context.get("expected_tags", "")))
    by_key = "(" not in discriminator  # else a function tells the forms apart, of mappings by the key that names them
    named = next((key for key in ("kind", "method") if isinstance(given, Mapping) and key in given), None)
    if by_key:
        given = context.get("tag")
    elif named is not None:
        discriminator, given = named, given[named]
        tags = [tag for tag in tags if " " not in tag]
    else:
        return path, given, hint, context
    told = {**context, "expected_tags": ", ".join(map(repr, tags))}
    return f"{path}.{discriminator}", given, did_you_mean(str(given), tags) or hint, told


def _located(cls: type[Spec], loc: Sequence[str | int]) -> tuple[str, type[Spec], FieldInfo | None]:
    """The path as its author wrote it (no union tags), the spec that owns its end, and its field."""
    path, owner, field = "", cls, None
    here: Any = cls
    for step in loc:
        here = _without_annotations(here)
        if isinstance(step, int):
            path += f"[{step}]"
            here = _item_of(here)
        elif (spec := _spec_in(here, step)) and step in spec.model_fields:
            owner, field = spec, spec.model_fields[step]
            here = field.annotation
            path = f"{path}.{step}".strip(".")
        elif (chosen := _tagged(here, step)) is not None:
            here = chosen
        else:
            if spec := _spec_in(here, step):
                owner = spec
            path, field = f"{path}.{step}".strip("."), None
    return path, owner, field


def _without_annotations(here: Any) -> Any:
    while get_origin(here) is Annotated:
        here = get_args(here)[0]
    return here


def _options(here: Any, tag: str | None = None) -> list[tuple[str | None, Any]]:
    """The members of a union, each with its `Tag` if it has one; a type by itself is its only member."""
    while get_origin(here) is Annotated:
        here, *notes = get_args(here)
        tag = next((note.tag for note in notes if isinstance(note, Tag)), tag)
    if get_origin(here) in (Union, UnionType):
        return [option for arg in get_args(here) for option in _options(arg, tag)]
    return [(tag, here)]


def _item_of(here: Any) -> Any:
    for _, option in _options(here):
        if get_origin(option) in (tuple, list) and get_args(option):
            return get_args(option)[0]
    return None


def _spec_in(here: Any, key: str) -> type[Spec] | None:
    options = [option for _, option in _options(here) if option is not NoneType]
    specs = [option for option in options if isinstance(option, type) and issubclass(option, Spec)]
    if len(specs) == 1 and (len(options) == 1 or key in specs[0].model_fields):
        return specs[0]
    return None


def _tagged(here: Any, tag: str) -> Any:
    """The member of the union `here` that pydantic calls `tag` in a location, or None."""
    options = _options(here)
    called = [option for own, option in options if own == tag]
    specs = [option for _, option in options if isinstance(option, type) and issubclass(option, Spec)]
    return next((option for option in [*called, *(spec for spec in specs if tag in _literals(spec))]), None)


def _literals(spec: type[Spec]) -> set[object]:
    kinds = (f.annotation for f in spec.model_fields.values() if get_origin(f.annotation) is Literal)
    return {value for kind in kinds for value in get_args(kind)}


def plain(spec: Spec) -> Mapping[str, object]:
    """A spec as plain data that `parse` accepts unchanged."""
    value: Mapping[str, object] = spec.model_dump(mode="json")
    return value


def plain_data(raw: object) -> Any:
    """Decoded YAML or JSON as what JSON can hold; dates become text again.

    Raises:
        SpecError: a key is no text, a value is of no kind that a recipe can hold, or the whole holds itself.
    """
    problems: list[Problem] = []
    whole = _plain(raw, "", problems, ())
    if problems:
        raise SpecError(problems)
    return whole


def _plain(value: Any, path: str, problems: list[Problem], above: tuple[int, ...]) -> Any:
    where = path.removeprefix(".") or "recipe"
    if id(value) in above:
        problems.append(Problem(where, "an alias of what it stands in", "a value that does not hold itself"))
        return None
    within = (*above, id(value))
    if isinstance(value, dict):
        problems += [Problem(where, key, "a key that is text") for key in value if not isinstance(key, str)]
        return {k: _plain(v, f"{path}.{k}", problems, within) for k, v in value.items() if isinstance(k, str)}
    if isinstance(value, list | tuple):
        return [_plain(v, f"{path}[{i}]", problems, within) for i, v in enumerate(value)]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and not is_whole_text(value):
        problems.append(Problem(where, value, "text without half characters"))
    elif value is not None and not isinstance(value, str | int | float | bool):
        problems.append(Problem(where, type(value).__name__, "text, a number, true, false, a list or a mapping"))
    return value


def is_whole_text(text: str) -> bool:
    """Whether `text` has no half of a surrogate pair, which no file could hold.

    >>> is_whole_text("中文"), is_whole_text("\ud800")
    (True, False)
    """
    if text.isascii():  # told at once; a loop over characters would take most of the time of reading data
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
