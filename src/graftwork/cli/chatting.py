"""`graftwork chat`: base and adapter, or base and tuned model, answer the same line, side by side."""

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graftwork.cli.opening import Opened, OpenedModel, open_trained
from graftwork.cli.reply import answer
from graftwork.core.errors import SpecError


def converse(
    adapter: Path, base: str | None, prompts: Sequence[str], *, system: str | None, max_new_tokens: int, as_json: bool
) -> None:
    """Answer `prompts`, or what is typed when there are none; `system` None is the one of the adapter's training."""
    opened = open_trained(adapter, base, None)
    system = opened.system if system is None else system
    if prompts or as_json:
        lines = list(prompts) or [line.strip() for line in sys.stdin if line.strip()]
        replies = [_reply(opened, line, system, max_new_tokens) for line in lines]
        answer({"system": system, "answers": replies}, partial(_show_all, replies), as_json=as_json)
        return
    console = Console(highlight=False)
    console.print("Both answer every line; each line is a new conversation. An empty line leaves.")
    if system:
        console.print(f"System message: {system}", markup=False)
    for line in _typed(console):
        try:
            _show(console, _reply(opened, line, system, max_new_tokens))
        except SpecError as error:  # this line only; the conversation goes on
            console.print(str(error), markup=False)


def _reply(opened: Opened | OpenedModel, line: str, system: str | None, max_new_tokens: int) -> dict[str, str]:
    head = [{"role": "system", "content": system}] if system else []
    prompt = [*head, {"role": "user", "content": line}]
    (of_base,), (of_trained,) = opened.sides.answers([prompt], max_new_tokens=max_new_tokens)
    return {"prompt": line, "base": of_base, "adapter" if isinstance(opened, Opened) else "tuned": of_trained}


def _typed(console: Console) -> Iterator[str]:
    while True:
        try:
            line = console.input("you> ").strip()
        except EOFError:
            return
        if not line:
            return
        yield line


def _show_all(replies: Sequence[dict[str, str]], console: Console) -> None:
    for reply in replies:
        _show(console, reply)


def _show(console: Console, reply: dict[str, str]) -> None:
    table = Table(title=escape(reply["prompt"]), title_justify="left", expand=True)
    said = {name: text for name, text in reply.items() if name != "prompt"}
    for name in said:
        table.add_column(name, ratio=1, overflow="fold")
    table.add_row(*map(escape, said.values()))
    console.print(table)
