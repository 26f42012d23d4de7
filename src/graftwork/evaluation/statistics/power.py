"""Power: what so many items can show, and how many it would take.

    smallest shown  = (z(1 - 0.05/2) + z(power)) stderr            a difference, either way
    needed items    = n ((z(1 - alpha) + z(power)) stderr / margin)^2      "not worse by the margin", of equals

Source: Chow, Shao, Wang and Lokhnygina 2017, Sample Size Calculations in Clinical Research, sections 3.1 and 4.3.
"""

from math import ceil

from graftwork.evaluation.statistics.distributions import normal_quantile

POWER = 0.8


def smallest_shown(stderr: float, *, level: float = 0.95, power: float = POWER) -> float:
    """The smallest true difference that is shown with the chance `power`.

    >>> round(smallest_shown(0.01), 3)
    0.028
    """
    return float(normal_quantile((1 + level) / 2) + normal_quantile(power)) * stderr


def needed_items(stderr: float, num_items: int, margin: float, *, alpha: float = 0.025, power: float = POWER) -> int:
    """Items, in groups as large as these, that show two equal subjects to be not worse with the chance `power`.

    >>> needed_items(0.01, 1000, 0.01)
    7849
    """
    quantiles = float(normal_quantile(1 - alpha) + normal_quantile(power))
    return ceil(num_items * (quantiles * stderr / margin) ** 2)
