"""An engine that answers one request after another with the real model: slow, plain, and right."""

import threading
from collections import Counter, deque
from concurrent.futures import Future

import torch
from transformers import DynamicCache

from graftwork.core.errors import OverloadedError, Problem, SpecError
from graftwork.serving.asked import EngineReport, Said, Update


class SoloEngine:
    """Takes a bank, answers in a thread of its own. `paused()` holds requests back while a test arranges things."""

    def __init__(self, bank, *, most_waiting=1000):
        self.bank, self.most_waiting = bank, most_waiting
        self._waiting, self._works, self._running = deque(), deque(), None
        self._cancelled, self._counts = set(), Counter()
        self._changed = threading.Condition()
        self._is_paused = self._is_draining = self._is_closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def submit(self, ask, told):
        """Take a request."""
        longest = self.bank.base.facts.context_tokens
        if longest is not None and len(ask.prompt_T) + ask.sampling.max_new_tokens > longest:
            raise SpecError([Problem("prompt", len(ask.prompt_T), f"with the answer at most {longest} tokens")])
        with self._changed:
            if self._is_draining or self._is_closed or len(self._waiting) >= self.most_waiting:
                raise OverloadedError("too many wait already, or the engine is draining.", retry_after_s=1.0)
            (self._waiting.appendleft if ask.is_urgent else self._waiting.append)((ask, told))
            self._changed.notify_all()

    def cancel(self, id):
        """End a request at the next step."""
        with self._changed:
            if id in {ask.id for ask, _ in self._waiting} | {self._running}:
                self._cancelled.add(id)
            self._changed.notify_all()

    def between_steps(self, work):
        """Have work done while no forward pass runs."""
        future = Future()
        with self._changed:
            if self._is_closed:
                future.cancel()
            else:
                self._works.append((work, future))
                self._changed.notify_all()
        return future

    @property
    def is_alive(self):
        """Whether it still answers."""
        return self._thread.is_alive() and not self._is_closed

    def report(self):
        """How it stands."""
        total = self.bank.base.facts.context_tokens or 0
        return EngineReport(
            waiting=len(self._waiting),
            running=int(self._running is not None),
            kv_tokens=0,
            kv_tokens_kept=0,
            kv_tokens_total=total,
            steps=self._counts["steps"],
            prompt_tokens=self._counts["prompt"],
            cached_tokens=0,
            new_tokens=self._counts["new"],
        )

    def drain(self):
        """Take no more requests."""
        self._is_draining = True

    def close(self):
        """End: what is under way is cancelled."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()

    def pause(self, is_paused=True):
        """Begin no request until told otherwise; work between steps goes on."""
        with self._changed:
            self._is_paused = is_paused
            self._changed.notify_all()

    def _is_idle(self):
        return not (self._is_closed or self._works or (self._waiting and (not self._is_paused or self._cancelled)))

    def _run(self):
        while True:
            with self._changed:
                while self._is_idle():
                    self._changed.wait()
                if self._is_closed and not self._waiting and not self._works:
                    return
                taken = None
                if not self._works:
                    taken = next((w for w in self._waiting if w[0].id in self._cancelled), self._waiting[0])
                    self._waiting.remove(taken)
                    self._running = taken[0].id
            self._work()
            if taken:
                self._answer(*taken)
                with self._changed:
                    self._running = None
                    self._cancelled.discard(taken[0].id)

    def _work(self):
        while self._works:
            work, future = self._works.popleft()
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001  whoever waits is told
                future.set_exception(error)

    def _answer(self, ask, told):
        try:
            finish = self._said(ask, told)
            told(Update(finish=finish))
        except Exception as error:  # noqa: BLE001  whoever waits is told
            told(Update(finish="failed", reason=str(error)))

    @torch.no_grad()
    def _said(self, ask, told):
        """Tell the tokens of an answer, each as it comes; how it ended."""
        base, tokens_T, said = self.bank.base, list(ask.prompt_T), Counter()
        draw = torch.Generator().manual_seed(ask.sampling.seed)
        cache = DynamicCache(config=base.model.config)
        position = 0
        for number in range(ask.sampling.max_new_tokens):
            if ask.id in self._cancelled or self._is_closed:
                return "cancelled"
            self._work()
            with self.bank.route([ask.served.row]):
                hidden_BTH = base.halves.body(
                    input_ids=torch.tensor([tokens_T], device=base.device),
                    position_ids=torch.arange(position, position + len(tokens_T), device=base.device)[None],
                    past_key_values=cache,
                    use_cache=True,
                ).last_hidden_state
                logits_V = base.halves.logits_of(hidden_BTH[0, -1:].contiguous())[0].float().cpu()
            self._counts.update(steps=1, new=1, prompt=len(tokens_T) if number == 0 else 0)
            position += len(tokens_T)
            token = chosen(logits_V, ask.sampling, said, draw)
            kept_V = logits_V if ask.keeps_logits and number == 0 else None
            if token in ask.stop_ids:
                told(Update(logits_V=kept_V))
                return "stop"
            told(Update(said=(said_of(logits_V, token, ask.sampling.logprobs),), logits_V=kept_V))
            said[token] += 1
            tokens_T = [token]
        return "length"


def said_of(logits_V, token, most):
    """A token with what was asked about its probability."""
    if most is None:
        return Said(token)
    logprobs_V = logits_V.log_softmax(0)
    best = logprobs_V.topk(most) if most else None
    likely = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)) if best else ()
    return Said(token, float(logprobs_V[token]), likely)


def chosen(logits_V, sampling, said, draw):
    """The next token, as `Sampling` says."""
    logits_V = logits_V.clone()
    for token, times in said.items():
        logits_V[token] -= sampling.frequency_penalty * times + sampling.presence_penalty
    for token, bias in sampling.logit_bias.items():
        logits_V[token] += bias
    if sampling.temperature == 0:
        return int(logits_V.argmax())
    shares, tokens = (logits_V / sampling.temperature).softmax(0).sort(descending=True, stable=True)
    before = shares.cumsum(0) - shares
    keeps = before < sampling.top_p
    if sampling.top_k is not None:
        keeps[sampling.top_k :] = False
    return int(tokens[torch.multinomial(shares * keeps, 1, generator=draw)])
