"""Step `check`: before anything is spent, what of the base would be trained and what not. Reads no weight."""

import time
from collections import Counter
from math import prod
from typing import Any

from graftwork.core.spec import plain
from graftwork.pipeline.folder import Done
from graftwork.pipeline.work import Work


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
    from graftwork.adapters.adapter import places_of
    from graftwork.base.load import facts_from_config

    facts = facts_from_config(work.base_folder)
    asked = places_of(work.spec.adapter, facts)
    sizes = {
        name: sum(prod(shape) for shape in method.shapes(spec, place).values())
        for name, (place, method, spec) in asked.items()
    }
    roles = []
    for role in dict.fromkeys(place.role for place in facts.places):
        here = [place.name for place in facts.places if place.role == role]
        ranks = Counter(getattr(asked[name][2], "rank", None) for name in here if name in asked)
        roles.append(
            {
                "role": role,
                "num_layers": len(here),
                "ranks": {str(rank): count for rank, count in sorted(ranks.items())},
                "num_params": sum(sizes.get(name, 0) for name in here),
            }
        )
    return {"roles": roles, "num_params": sum(sizes.values()), "num_base_params": facts.num_params}
