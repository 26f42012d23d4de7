"""Step `check`: before anything is spent, what of the base would be trained and what not. Reads no weight."""

from __future__ import annotations

import time
from collections import Counter
from math import prod
from typing import TYPE_CHECKING, Any

from graftwork.core.errors import Problem, SpecError
from graftwork.core.spec import plain
from graftwork.pipeline.below import told_below
from graftwork.pipeline.folder import Done
from graftwork.pipeline.trackers import tracker_problems
from graftwork.pipeline.training_problems import particular, training_problems
from graftwork.pipeline.work import Work

if TYPE_CHECKING:
    from graftwork.adapters.asked import Asked


def check(work: Work) -> Done:
    """Do the step, unless it is done already.

    Raises:
        NotFoundError: the base is not there.
        SpecError: a target matches nothing, the adapter to stand on cannot be stood on, or the method's schedule does
            not fit the number of steps, where that is known before the records are read.
    """
    began_s = time.monotonic()
    _refuse_unfit(work)
    inputs = {"base": work.fingerprint.digest, "adapter": dict(plain(work.spec.adapter)), **told_below(work)}
    if asked := particular(work.spec.training):
        inputs["training"] = asked
    if done := work.folder.still_done("check", inputs):
        return done
    return work.folder.record("check", inputs, [], trainable(work), began_s)


def trainable(work: Work) -> dict[str, Any]:
    """What is trained, role by role: layers, ranks and numbers. Roles that are not trained are in it too."""
    from graftwork.adapters.asked import places_of
    from graftwork.base.load import facts_from_config

    if work.spec.is_full:
        return _all_trainable(work)
    facts = facts_from_config(work.base_folder)
    asked = places_of(work.spec.adapter, facts)
    if problems := list(training_problems(work.spec.training, asked.values())):
        raise SpecError(problems)
    places = dict.fromkeys([*facts.places, *(here.place for here in asked.values())])
    roles = []
    for role in dict.fromkeys(place.role for place in places):
        here = [one for one in asked.values() if one.place.role == role]
        ranks = Counter(str(getattr(one.spec, "rank", None)) for one in here)
        roles.append(
            {
                "role": role,
                "num_layers": sum(place.role == role for place in places),
                "ranks": dict(sorted(ranks.items())),
                "num_params": sum(map(_num_params, here)),
            }
        )
    num_params = sum(map(_num_params, asked.values()))
    return {"roles": roles, "num_params": num_params, "num_base_params": facts.num_params}


def rank_table(work: Work) -> dict[str, Any]:
    """The rank that each role has in each layer, and the numbers that are trained there.

    A role with several places in a layer, or several methods at one, has each of its ranks in order, repeated ones
    once. A method without rank is told by its name.
    """
    from graftwork.adapters.asked import places_of
    from graftwork.base.load import facts_from_config

    if work.spec.is_full:
        raise SpecError([Problem("adapter.method", "full", "a method with ranks", "Full tuning has none.")])
    asked = list(places_of(work.spec.adapter, facts_from_config(work.base_folder)).values())
    layers = []
    for layer in sorted({one.place.layer for one in asked}, key=lambda n: float("inf") if n is None else n):
        here = [one for one in asked if one.place.layer == layer]
        ranks: dict[str, list[int | str]] = {}
        for one in here:
            told = ranks.setdefault(one.place.role, [])
            rank = getattr(one.spec, "rank", one.method.name)
            told += [rank] if rank not in told else []
        layers.append({"layer": layer, "ranks": ranks, "num_params": sum(map(_num_params, here))})
    return {
        "roles": list(dict.fromkeys(one.place.role for one in asked)),
        "layers": layers,
        "total_rank": sum(getattr(one.spec, "rank", 0) for one in asked),
        "num_params": sum(map(_num_params, asked)),
        "moves": sorted({one.method.name for one in asked if one.method.evolution and hasattr(one.spec, "rank")}),
    }


def _refuse_unfit(work: Work) -> None:
    from graftwork.adapters.evolution import schedule_problems

    steps = work.spec.training.steps
    problems = [] if steps is None or work.spec.is_full else list(schedule_problems(work.spec.adapter, steps))
    problems += tracker_problems(work.spec.trackers)
    try:
        _ = work.below
    except SpecError as error:
        problems += error.problems
    if not problems:
        return
    try:
        trainable(work)
    except SpecError as error:  # told together
        problems += error.problems
    raise SpecError(problems)


def _all_trainable(work: Work) -> dict[str, Any]:
    """Full tuning: the linear layers role by role, and all other parameters together."""
    from graftwork.base.load import facts_from_config
    from graftwork.base.parameters import num_parameters

    facts = facts_from_config(work.base_folder)
    whole, outer = num_parameters(work.base_folder)
    inner = [place for place in facts.places if place.role != "head"]
    roles: list[dict[str, Any]] = []
    for role in dict.fromkeys(place.role for place in inner):
        sizes = [place.in_features * place.out_features for place in inner if place.role == role]
        roles.append({"role": role, "num_layers": len(sizes), "ranks": {"whole": len(sizes)}, "num_params": sum(sizes)})
    rest = whole - outer - sum(row["num_params"] for row in roles)
    roles.append({"role": "norms, biases and others", "num_layers": 1, "ranks": {"whole": 1}, "num_params": rest})
    trained = outer if work.spec.adapter.embeddings else 0
    ranks = {"whole": 1} if trained else {}
    roles.append({"role": "embeddings and head", "num_layers": 1, "ranks": ranks, "num_params": trained})
    return {"roles": roles, "num_params": whole - outer + trained, "num_base_params": facts.num_params}


def _num_params(here: Asked) -> int:
    shapes = here.method.shapes(here.spec, here.place)
    return sum(prod(shape) for name, shape in shapes.items() if name not in here.method.kept)
