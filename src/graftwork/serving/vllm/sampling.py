"""Sampling in vLLM's words: exactly what was asked, or a refusal. Pure but for the type that it makes.

vLLM would take some values for others without a word: a temperature under 0.01 for 0.01, a seed of -1 for none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from graftwork.core.errors import Problem, SpecError

if TYPE_CHECKING:
    from graftwork.serving.asked import Ask, Sampling

LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.01, 2.0
MOST_PENALTY = 2.0
MOST_SEED = 2**63 - 1


def refuse_impossible(ask: Ask, *, vocab_size: int, context_tokens: int, kv_tokens: int) -> None:
    """Raise SpecError with all of a request that vLLM could not do, or would do otherwise.

    Args:
        context_tokens: of a prompt and its answer.
        kv_tokens: places for keys and values.
    """
    problems = [*_of_sampling(ask.sampling, vocab_size), *_of_tokens(ask, vocab_size)]
    asked, num_prompt = ask.sampling.max_new_tokens, len(ask.prompt_T)
    for most, what in ((context_tokens, "this base reads here"), (kv_tokens, "the server's cache holds")):
        if num_prompt and num_prompt + asked > most:
            expected = f"at most {most} tokens together, which is what {what}"
            problems.append(Problem("max_tokens", f"{asked} after a prompt of {num_prompt} tokens", expected))
            break
    if problems:
        raise SpecError(problems)


def params_of(ask: Ask) -> dict[str, Any]:
    """The arguments of vLLM's `SamplingParams` for a request that was not refused.

    The probability of each token is always asked for: logits that are no finite numbers show in it alone. Ends are
    those of the request: what the base's files say of ends and of sampling is left aside.
    """
    sampling = ask.sampling
    return {
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k or 0,
        "top_p": sampling.top_p,
        "seed": sampling.seed if sampling.temperature else None,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "logit_bias": dict(sampling.logit_bias) or None,
        "logprobs": -1 if ask.keeps_logits else sampling.logprobs or 0,
        "flat_logprobs": True,
        "stop_token_ids": sorted(ask.stop_ids),
        "ignore_eos": True,
        "detokenize": False,
    }


def _of_sampling(sampling: Sampling, vocab_size: int) -> Iterator[Problem]:
    temperature, hint = sampling.temperature, "vLLM takes no other."
    if temperature and not LEAST_TEMPERATURE <= temperature <= MOST_TEMPERATURE:
        expected = f"0, or {LEAST_TEMPERATURE} to {MOST_TEMPERATURE:g}"
        yield Problem("temperature", temperature, expected, hint)
    if not 0 < sampling.top_p <= 1:
        yield Problem("top_p", sampling.top_p, "more than 0 and at most 1", hint)
    if sampling.top_k is not None and sampling.top_k < 1:
        yield Problem("top_k", sampling.top_k, "1 or more", hint)
    if not 0 <= sampling.seed <= MOST_SEED:
        yield Problem("seed", sampling.seed, f"0 to {MOST_SEED}", hint)
    for name in ("frequency_penalty", "presence_penalty"):
        if not abs(value := getattr(sampling, name)) <= MOST_PENALTY:
            yield Problem(name, value, f"-{MOST_PENALTY:g} to {MOST_PENALTY:g}", hint)
    if sampling.logprobs is not None and not 0 <= sampling.logprobs <= vocab_size:
        yield Problem("top_logprobs", sampling.logprobs, f"0 to {vocab_size}")
    if sampling.max_new_tokens < 1:
        yield Problem("max_tokens", sampling.max_new_tokens, "1 or more")


def _of_tokens(ask: Ask, vocab_size: int) -> Iterator[Problem]:
    if not ask.prompt_T:
        yield Problem("messages", 0, "a prompt of at least one token")
    told = {"logit_bias": ask.sampling.logit_bias, "messages": ask.prompt_T, "stop": ask.stop_ids}
    for name, tokens in told.items():
        if strange := [token for token in tokens if not 0 <= token < vocab_size]:
            yield Problem(name, strange[0], f"tokens of the base, 0 to {vocab_size - 1}")
