"""From a request in OpenAI's form to a question for the engine; everything that is wrong with it at once."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from graftwork.base.rendering import Template
from graftwork.base.template import ChatFormat
from graftwork.core.errors import Problem, SpecError
from graftwork.registry.access.roles import Principal
from graftwork.serving.asked import Sampling
from graftwork.serving.http.answering import Question
from graftwork.serving.http.openai.asked import Asked, ChatRequest, CompletionRequest
from graftwork.serving.http.parts import Parts, Speech
from graftwork.serving.http.seams import Asking
from graftwork.serving.spec import LimitsSpec

Prompts = tuple[tuple[int, ...], ...]


def of_chat(parts: Parts, asked: ChatRequest, who: Principal, request_id: str) -> Question:
    """A conversation as a question. It renders and tokenises: not for the event loop.

    Raises:
        SpecError: all that is wrong with it.
        BlockedError: it may not be asked.
    """
    asking = Asking(id=request_id, who=who, model=asked.model, texts=tuple(one.text for one in asked.messages))
    asking = _guarded(parts, asking, asked.logprobs)
    tokens_T = _chat_tokens(parts.speech.chat, asked, asking.texts)
    logprobs = (asked.top_logprobs or 0) if asked.logprobs else None
    return _question(parts, asked, asking, (tuple(tokens_T),), logprobs)


def of_completion(parts: Parts, asked: CompletionRequest, who: Principal, request_id: str) -> Question:
    """Texts or tokens as a question. It tokenises: not for the event loop.

    Raises:
        SpecError: all that is wrong with it.
        BlockedError: it may not be asked.
    """
    chat = parts.speech.chat
    prompts_P_T, texts = _prompts(parts.speech, asked)
    asking = _guarded(parts, Asking(id=request_id, who=who, model=asked.model, texts=texts), asked.logprobs is not None)
    seen = [
        prompt_T if text == before else _text_tokens(chat, text, "prompt")
        for prompt_T, before, text in zip(prompts_P_T, texts, asking.texts, strict=True)
    ]
    return _question(parts, asked, asking, tuple(seen), asked.logprobs)


def _question(parts: Parts, asked: Asked, asking: Asking, prompts_P_T: Prompts, logprobs: int | None) -> Question:
    limits, speech = parts.spec.limits, parts.speech
    n = asked.n or 1
    longest = max(map(len, prompts_P_T))
    problems = [
        *_too_many(asked, len(prompts_P_T) * n, limits),
        *_wrong_bias(asked.logit_bias or {}, speech.num_tokens),
        *_too_long(asked, longest, limits, speech.context_tokens),
    ]
    _refuse(problems)
    room = limits.new_tokens if speech.context_tokens is None else speech.context_tokens - longest
    sampling = Sampling(
        max_new_tokens=asked.most_tokens[1] or min(limits.new_tokens, room),
        temperature=1.0 if asked.temperature is None else asked.temperature,
        top_k=1 if asked.top_p == 0 else asked.top_k,
        top_p=asked.top_p or 1.0,
        seed=secrets.randbelow(2**32) if asked.seed is None else asked.seed,
        logprobs=logprobs,
        frequency_penalty=asked.frequency_penalty or 0.0,
        presence_penalty=asked.presence_penalty or 0.0,
        logit_bias={int(token): bias for token, bias in (asked.logit_bias or {}).items()},
    )
    return Question(asking=asking, prompts_P_T=prompts_P_T, n=n, sampling=sampling, stops=asked.stops)


def _chat_tokens(chat: ChatFormat, asked: ChatRequest, texts: Sequence[str]) -> list[int]:
    turns = [
        {"role": "system" if one.role == "developer" else one.role, "content": text}
        for one, text in zip(asked.messages, texts, strict=True)
    ]
    tools = [one.model_dump(exclude_none=True) for one in asked.tools or ()] if asked.tool_choice != "none" else []
    if tools and not _writes_tools(chat, turns, tools):
        hint = "The chat template of this base does not write tools: describe them in the system message."
        raise SpecError([Problem("tools", len(tools), "no tools", hint)])
    try:
        return chat.prompt(turns, tools)
    except SpecError as error:
        raise SpecError(_placed(problem, turns) for problem in error.problems) from error


def _placed(problem: Problem, turns: Sequence[Mapping[str, str]]) -> Problem:
    """A problem that the chat format tells by the turn's role, by its place in the request."""
    for i, turn in enumerate(turns):
        if (problem.path, problem.value) == (turn["role"], turn["content"]):
            return replace(problem, path=f"messages[{i}].content")
    return problem


def _writes_tools(chat: ChatFormat, turns: Sequence[Mapping[str, str]], tools: Sequence[Mapping[str, Any]]) -> bool:
    if not chat.template:
        return False
    return Template(chat.template, chat.tokenizer.special_tokens_map).writes_tools(turns, tools)


def _prompts(speech: Speech, asked: CompletionRequest) -> tuple[Prompts, tuple[str, ...]]:
    """The prompts as tokens and as texts."""
    told = (asked.prompt,) if isinstance(asked.prompt, str) else asked.prompt
    texts = tuple(text for text in told if isinstance(text, str))
    if texts:
        many = len(texts) > 1
        tokens = [_text_tokens(speech.chat, text, f"prompt[{i}]" if many else "prompt") for i, text in enumerate(texts)]
        return tuple(tokens), texts
    lists = tuple(one for one in told if isinstance(one, tuple))
    prompts = lists or (tuple(one for one in told if isinstance(one, int)),)
    strange = [token for prompt_T in prompts for token in prompt_T if token >= speech.num_tokens]
    _refuse([Problem("prompt", token, f"tokens from 0 to {speech.num_tokens - 1}") for token in strange[:1]])
    return prompts, tuple(speech.texts.decode(prompt_T) for prompt_T in prompts)


def _text_tokens(chat: ChatFormat, text: str, where: str) -> tuple[int, ...]:
    tokens_T: list[int] = chat.tokenizer(text, add_special_tokens=True, truncation=False)["input_ids"]
    ends = chat.tokenizer(text, add_special_tokens=False, truncation=False)["input_ids"]
    while tokens_T and tokens_T[-1] in chat.stop_ids and (not ends or ends[-1] != tokens_T[-1]):
        tokens_T = tokens_T[:-1]  # an end that the tokenizer adds by itself
    if not tokens_T:
        raise SpecError([Problem(where, text, "text with a token in it")])
    return tuple(tokens_T)


def _guarded(parts: Parts, asking: Asking, wants_logprobs: bool | None) -> Asking:
    """What is asked, as the model may see it."""
    if wants_logprobs and parts.guard.filters(asking):
        hint = "Answers are filtered here, and probabilities would tell what was taken out."
        raise SpecError([Problem("logprobs", wants_logprobs, "null", hint)])
    return replace(asking, texts=parts.guard.prompt(asking))


def _too_many(asked: Asked, num_answers: int, limits: LimitsSpec) -> list[Problem]:
    if num_answers <= limits.choices:
        return []
    return [Problem("n", asked.n or 1, f"at most {limits.choices} answers to one request", "Ask several times.")]


def _wrong_bias(biases: Mapping[str, float], num_tokens: int) -> list[Problem]:
    wrong = [
        key for key in biases if not (key.isascii() and key.isdecimal() and len(key) < 10 and int(key) < num_tokens)
    ]
    return [Problem("logit_bias", key, f"the number of a token, 0 to {num_tokens - 1}") for key in wrong]


def _too_long(asked: Asked, longest: int, limits: LimitsSpec, context: int | None) -> list[Problem]:
    field, most = asked.most_tokens
    problems = []
    if most is not None and most > limits.most_new_tokens:
        problems.append(Problem(field, most, f"at most {limits.most_new_tokens} here"))
    if context is not None and longest + (most or 1) > context:
        where = "messages" if isinstance(asked, ChatRequest) else "prompt"
        expected = f"at most {context} tokens of prompt and answer together, which is what this base takes"
        problems.append(Problem(where, f"{longest} tokens" + (f" and {field} {most}" if most else ""), expected))
    return problems


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise SpecError(problems)
