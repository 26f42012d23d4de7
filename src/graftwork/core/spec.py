"""Specs: frozen requests, and the reader that says all that is wrong with one in our words."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from graftwork.core.errors import Problem, SpecError, did_you_mean

S = TypeVar("S", bound="Spec")

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
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "string_too_short": "text that is not empty",
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


def parse(cls: type[S], raw: object) -> S:
    """Build a spec from decoded YAML, JSON or flags.

    Raises:
        SpecError: all unknown keys, missing keys, wrong types and values out of range, together;
            once each field is right by itself, also values that contradict each other.
    """
    try:  # through JSON, so that a list may fill a tuple and a YAML date is text again
        return cls.model_validate_json(json.dumps(raw, default=str))
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
    if kind.startswith("union_tag"):
        discriminator = str(context.get("discriminator", "")).strip("'")
        tags = re.findall("'(.*?)'", str(context.get("expected_tags", "")))
        by_key = "(" not in discriminator  # else a function tells the forms apart
        if by_key or (isinstance(given, Mapping) and "kind" in given):
            path = f"{path}.{discriminator if by_key else 'kind'}"
            given = context.get("tag") if by_key else given["kind"]  # type: ignore[index]
            hint = did_you_mean(str(given), tags) or hint
    if kind == "extra_forbidden":
        hint = did_you_mean(str(detail["loc"][-1]), owner.model_fields) or hint
    if kind == "literal_error":
        hint = did_you_mean(str(given), re.findall("'(.*?)'", str(context.get("expected")))) or hint
    said = detail["msg"].removeprefix("Input should be ")
    expected = EXPECTED[kind].format_map(context) if kind in EXPECTED else said
    yield Problem(path or "recipe", given, expected, " ".join(hint.split()))


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


def _options(here: Any) -> list[Any]:
    here = _without_annotations(here)
    if get_origin(here) in (Union, UnionType):
        return [option for arg in get_args(here) for option in _options(arg)]
    return [here]


def _item_of(here: Any) -> Any:
    for option in _options(here):
        if get_origin(option) in (tuple, list) and get_args(option):
            return get_args(option)[0]
    return None


def _spec_in(here: Any, key: str) -> type[Spec] | None:
    specs = [o for o in _options(here) if isinstance(o, type) and issubclass(o, Spec)]
    if len(specs) == 1 and (len(_options(here)) == 1 or key in specs[0].model_fields):
        return specs[0]
    return None


def _tagged(here: Any, tag: str) -> Any:
    """The member of the union `here` that pydantic calls `tag` in a location, or None."""
    options = _options(here)
    for option in options:
        if isinstance(option, type) and issubclass(option, Spec):
            literals = {
                value
                for field in option.model_fields.values()
                if get_origin(field.annotation) is Literal
                for value in get_args(field.annotation)
            }
            if tag in literals or option.__name__ == tag:
                return option
        elif getattr(option, "__name__", str(option)) == tag or str(option).startswith(f"{tag}["):
            return option
    return here if len(options) > 1 else None


def plain(spec: Spec) -> Mapping[str, object]:
    """A spec as plain data that `parse` accepts unchanged."""
    value: Mapping[str, object] = spec.model_dump(mode="json")
    return value
