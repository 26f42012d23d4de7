"""Requests to an engine, and what became of them."""

from concurrent.futures import Future
from itertools import count

from graftwork.serving.asked import Ask, Sampling, Served

NUMBERS = count()
GREEDY = {"temperature": 0.0}


class Answer:
    """Collects updates; `tokens`, `said` and `last` are there once it has ended."""

    def __init__(self):
        self.updates, self.ended = [], Future()

    def __call__(self, update):
        self.updates.append(update)
        if update.finish:
            self.ended.set_result(update)

    def wait(self, timeout_s=120):
        """Itself, ended."""
        self.last = self.ended.result(timeout_s)
        self.said = [said for update in self.updates for said in update.said]
        self.tokens = [said.token for said in self.said]
        return self


def ask(prompt_T, row=None, content="base", *, stop_ids=(), tenant="default", id=None, keeps_logits=False, **sampling):
    """A request, greedy if nothing else is asked."""
    return Ask(
        id=id or f"ask-{next(NUMBERS)}",
        tenant=tenant,
        served=Served(name=content, version=None, content=content, row=row),
        prompt_T=tuple(prompt_T),
        sampling=Sampling(**{"max_new_tokens": 8, **GREEDY, **sampling}),
        stop_ids=frozenset(stop_ids),
        keeps_logits=keeps_logits,
    )


def submitted(engine, asked):
    """What will become of it."""
    answer = Answer()
    engine.submit(asked, answer)
    return answer


def answered(engine, asked):
    """What became of it, alone."""
    return submitted(engine, asked).wait()
