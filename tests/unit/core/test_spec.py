"""Specs as such: frozen, described, read strictly and written so that they read back."""

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import ValidationError

import graftwork
from graftwork.core.digests import digest
from graftwork.core.errors import SpecError
from graftwork.core.spec import Spec, parse, plain


class Inner(Spec):
    """A part."""

    size: int = 1
    """How large."""


class Outer(Spec):
    """A whole."""

    share: float
    """What part."""

    inner: Inner = Inner()
    """The inner one."""

    many: tuple[Inner, ...] = ()
    """More of them."""


def refused(raw: object) -> str:
    with pytest.raises(SpecError) as caught:
        parse(Outer, raw)
    return str(caught.value)


def all_specs(root: type[Spec]) -> Iterator[type[Spec]]:
    for child in root.__subclasses__():
        if child.__module__.startswith("graftwork."):
            yield child
            yield from all_specs(child)


EXTRAS = {"lm_eval"}
"""What a module may import that the development install does not bring."""


@contextmanager
def suppress_missing(packages: set[str]) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in packages:
            raise


def test_every_field_of_every_spec_in_the_package_says_what_it_means():
    for module in pkgutil.walk_packages(graftwork.__path__, "graftwork."):
        if not module.name.endswith("__main__"):
            with suppress_missing(EXTRAS):
                importlib.import_module(module.name)
    specs = list(all_specs(Spec))
    assert len(specs) >= 10
    silent = [f"{s.__name__}.{name}" for s in specs for name, f in s.model_fields.items() if not f.description]
    assert silent == []


def test_a_whole_number_may_stand_for_a_number_and_nothing_else_is_coerced():
    assert parse(Outer, {"share": 1}) == Outer(share=1.0)
    assert refused({"share": "1"}) == "share = '1': expected a number. What part."
    assert refused({"share": True}) == "share = True: expected a number. What part."
    assert refused({"share": 1, "inner": {"size": 1.0}}) == "inner.size = 1.0: expected an integer. How large."


def test_a_mistake_in_a_list_is_named_by_its_place():
    said = refused({"share": 1, "many": [{}, {"size": "x"}, {"sise": 1}]})
    assert said.splitlines() == [
        "many[1].size = 'x': expected an integer. How large.",
        "many[2].sise = 1: expected no such key. Did you mean 'size'?",
    ]


def test_an_unknown_key_with_none_near_lists_what_there_is():
    assert refused({"share": 1, "zzz": 2}) == "zzz = 2: expected no such key. Known keys: share, inner, many."


def test_a_request_that_is_no_mapping_is_refused():
    assert refused([1]) == "recipe = [1]: expected a mapping of keys to values. Known keys: share, inner, many."


def test_a_spec_is_frozen():
    spec = Outer(share=0.5)
    with pytest.raises(ValidationError, match="frozen"):
        spec.share = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        spec.inner.size = 2  # type: ignore[misc]


def test_a_spec_reads_back_from_its_plain_data_with_the_same_digest():
    spec = Outer(share=0.1, inner=Inner(size=3), many=(Inner(), Inner(size=2)))
    assert parse(Outer, plain(spec)) == spec
    assert digest(parse(Outer, plain(spec))) == digest(spec)


def test_how_a_number_is_written_does_not_change_the_digest():
    assert digest(parse(Outer, {"share": 1})) == digest(parse(Outer, {"share": 1.0}))


def test_every_change_of_a_value_changes_the_digest():
    raws = [{"share": 1}, {"share": 2}, {"share": 1, "inner": {"size": 2}}, {"share": 1, "many": [{}]}]
    assert len({digest(parse(Outer, raw)) for raw in raws}) == len(raws)
