"""Tasks that pull against each other: what of each one's gradient is to be kept. Pure; no torch.

Of K tasks with gradients g_k, each over all trained numbers as one vector, every g_i is freed, one after another in an
order drawn for it, of what points against another task:

    g_i  <-  g_i - (g_i . g_j / |g_j|^2) g_j      where g_i . g_j < 0, for every j but i

and the step takes the sum over i. All of these vectors are sums of the g_k, so nothing but the products g_k . g_j has
to be known: what is computed here is the weight of each g_k in the sum.

Source: PCGrad, Yu et al. 2020, https://arxiv.org/abs/2001.06782, section 2.3, algorithm 1.
Departs from it: the order is drawn from the seed and the step's number, so a run that goes on draws the same; the
vectors are not moved but their weights, in float64.
"""

import random
from collections.abc import Sequence
from math import acos, degrees, fsum, sqrt

Products = Sequence[Sequence[float]]
"""products[k][j] is g_k . g_j."""

NOTHING = 1e-14
"""A squared norm below this share of the tasks' own is rounding, and nothing to compare with."""


def orders(num_tasks: int, *, seed: int, step: int) -> list[list[int]]:
    """For each task the others, in the order in which it is freed of what points against them.

    >>> orders(3, seed=0, step=5) == orders(3, seed=0, step=5)
    True
    """
    draw = random.Random(f"conflicts:{seed}:{step}")
    drawn = []
    for task in range(num_tasks):
        others = [other for other in range(num_tasks) if other != task]
        draw.shuffle(others)
        drawn.append(others)
    return drawn


def projected(products: Products, order: Sequence[Sequence[int]]) -> list[list[float]]:
    """For each task the weights of all gradients in what is left of its own.

    >>> projected([[1.0, -1.0], [-1.0, 2.0]], [[1], [0]])
    [[1.0, 0.5], [1.0, 1.0]]
    """
    return [_freed(task, others, products) for task, others in enumerate(order)]


def summed(weights: Sequence[Sequence[float]]) -> list[float]:
    """The weight of each gradient in the sum over tasks; 1.0 for each where none is in conflict."""
    return [fsum(column) for column in zip(*weights, strict=True)]


def cosine(products: Products, one: int, other: int) -> float | None:
    """Of the angle between two tasks' gradients; None where one of them is zero, or no number."""
    norms = sqrt(products[one][one]) * sqrt(products[other][other])
    if not norms > 0:
        return None
    found = products[one][other] / norms
    return max(-1.0, min(1.0, found)) if found == found else None


def angle_deg(told: float | None) -> float | None:
    """The angle of a cosine, 0 to 180 degrees; below 90 the tasks agree.

    >>> round(angle_deg(-0.5), 6)
    120.0
    """
    return None if told is None else degrees(acos(told))


def norm_ratio(products: Products, weights: Sequence[float]) -> float | None:
    """The norm of the weighted sum over that of the plain one; None where nothing is left of the plain one."""
    plain = _square([1.0] * len(weights), products)
    own = fsum(row[k] for k, row in enumerate(products))
    return sqrt(max(0.0, _square(weights, products)) / plain) if plain > NOTHING * own else None


def _freed(task: int, others: Sequence[int], products: Products) -> list[float]:
    weights = [float(k == task) for k in range(len(products))]
    for other in others:
        along = fsum(weight * products[k][other] for k, weight in enumerate(weights))
        if along < 0 < products[other][other]:
            weights[other] -= along / products[other][other]
    return weights


def _square(weights: Sequence[float], products: Products) -> float:
    return fsum(a * b * products[i][j] for i, a in enumerate(weights) for j, b in enumerate(weights))
