"""Step `check`: before anything is spent, what of the base would be trained and what not. Reads no weight."""

from __future__ import annotations

import time
from collections import Counter
from math import prod
from typing import TYPE_CHECKING, Any

from graftwork.core.spec import plain
from graftwork.pipeline.folder import Done
from graftwork.pipeline.work import Work

if TYPE_CHECKING:
    from graftwork.adapters.asked import Asked


def check(work: Work) -> Done:
    """Do the step, unless it is done already.

    Raises:
        NotFoundError: the base is not there.
        SpecError: a target matches nothing.
    """
    began_s = time.monotonic()
    inputs = {"base": work.fingerprint.digest, "adapter": dict(plain(work.spec.adapter))}
    if done := work.folder.still_done("check", inputs):
        return done
    return work.folder.record("check", inputs, [], trainable(work), began_s)


def trainable(work: Work) -> dict[str, Any]:
    """What is trained, role by role: layers, ranks and numbers. Roles that are not trained are in it too."""
    from graftwork.adapters.asked import places_of
    from graftwork.base.load import facts_from_config

    facts = facts_from_config(work.base_folder)
    asked = places_of(work.spec.adapter, facts)
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


def _num_params(here: Asked) -> int:
    shapes = here.method.shapes(here.spec, here.place)
    return sum(prod(shape) for name, shape in shapes.items() if name not in here.method.kept)
