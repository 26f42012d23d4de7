"""The learning rate of an adapter, and which settings of it are the same training. Pure.

    rate = M * rate of full tuning,  M = 10, or 15 in runs under about 100 steps
    rate = 5e-5 * 10 * (2000 / hidden)^p,  p = 0.781 (Llama), 0.0775 (Qwen)

Neither depends on the rank, as long as the update is scaled by alpha / rank.

With Adam (eps = 0) the training of W + (alpha / r) B A, A drawn at a scale and B zero, is unchanged under

    (alpha, init_A, rate_A, rate_B)  ->  (alpha / (p q), p init_A, p rate_A, q rate_B)   for any p, q > 0

so of the four only two combinations matter: alpha * init_A * rate_B, the size of the first update, and init_A / rate_A,
the steps until A has moved. With eps > 0 it holds for q = 1 if A's eps, and for p = 1 if B's eps, is scaled too.

Source: Schulman and Thinking Machines 2025, "LoRA Without Regret", sections on the learning rate and on
parametrisation, https://thinkingmachines.ai/blog/lora/; the powers: `get_lr` of
https://github.com/thinking-machines-lab/tinker-cookbook, tinker_cookbook/hyperparam_utils.py.
Departs from it: the change from 15 to 10 has no published form; it is a step here, at 100 steps.
"""

from __future__ import annotations

from dataclasses import dataclass

OVER_FULL, OVER_FULL_SHORT = 10.0, 15.0
SHORT_STEPS = 100
POWERS = {"llama": 0.781, "qwen": 0.0775}
FULL_AT_2000, REFERENCE_HIDDEN = 5e-5, 2000
GUARD = 3e-3
"""From here on most runs of a published sweep did not converge: 72 of 80 that diverged had this rate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RateAdvice:
    """What rate to begin with.

    Attributes:
        rate: None where no formula is known for the family and no rate of full tuning was given.
        multiplier: over full tuning.
        why: in words.
    """

    rate: float | None
    multiplier: float
    why: str


def over_full(num_steps: int) -> float:
    """What a rate of full tuning is multiplied by.

    >>> over_full(1000), over_full(50)
    (10.0, 15.0)
    """
    return OVER_FULL_SHORT if num_steps < SHORT_STEPS else OVER_FULL


def family_of(architecture: str) -> str | None:
    """The family whose formula holds, from the name of a model's class or of a known base.

    >>> family_of("Qwen2ForCausalLM"), family_of("llama-3-8b"), family_of("MixtralForCausalLM")
    ('qwen', 'llama', None)
    """
    return next((family for family in POWERS if family in architecture.lower()), None)


def family_rate(family: str, hidden: int) -> float:
    """The rate for LoRA on a base of this family and hidden size.

    >>> f"{family_rate('llama', 4096):.2e}", f"{family_rate('qwen', 4096):.2e}"
    ('2.86e-04', '4.73e-04')
    """
    return float(FULL_AT_2000 * OVER_FULL * (REFERENCE_HIDDEN / hidden) ** POWERS[family])


def advised_rate(architecture: str, hidden: int, num_steps: int, full_rate: float | None = None) -> RateAdvice:
    """A rate to begin with: from full tuning's where that is known, else from the family's formula."""
    multiplier = over_full(num_steps)
    length = f"{num_steps} steps" + (", a short run" if num_steps < SHORT_STEPS else "")
    if full_rate is not None:
        return RateAdvice(rate=multiplier * full_rate, multiplier=multiplier, why=f"{multiplier:g} x full, {length}")
    family = family_of(architecture)
    if family is None:
        return RateAdvice(rate=None, multiplier=multiplier, why=f"{multiplier:g} x full tuning's rate; {length}")
    rate = family_rate(family, hidden) * multiplier / OVER_FULL
    return RateAdvice(rate=rate, multiplier=multiplier, why=f"formula for {family}, hidden size {hidden}, {length}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parametrisation:
    """What the training of one place depends on.

    Attributes:
        init_a: the scale at which A is drawn.
        rate_a, rate_b: learning rates of the factors.
    """

    alpha: float
    init_a: float
    rate_a: float
    rate_b: float

    @property
    def first_update(self) -> float:
        """How large the first update is: alpha * init_A * rate_B."""
        return self.alpha * self.init_a * self.rate_b

    @property
    def steps_until_a_moves(self) -> float:
        """init_A / rate_A."""
        return self.init_a / self.rate_a


def equivalent(given: Parametrisation, *, p: float = 1.0, q: float = 1.0) -> Parametrisation:
    """Another setting that trains the same with Adam.

    >>> one = Parametrisation(alpha=32, init_a=0.01, rate_a=2e-4, rate_b=2e-4)
    >>> equivalent(one, p=2, q=4)
    Parametrisation(alpha=4.0, init_a=0.02, rate_a=0.0004, rate_b=0.0008)
    """
    return Parametrisation(
        alpha=given.alpha / (p * q), init_a=p * given.init_a, rate_a=p * given.rate_a, rate_b=q * given.rate_b
    )


def at_alpha(given: Parametrisation, alpha: float) -> Parametrisation:
    """The same training with another `alpha`, both factors sharing the change; one rate for both stays one."""
    factor = (given.alpha / alpha) ** 0.5
    return equivalent(given, p=factor, q=factor)
