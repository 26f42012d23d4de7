"""`graftwork prepare --preview N`: training rows token by token, on screen and as a page. No torch of its own."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from graftwork.core.errors import NotFoundError
from graftwork.core.files import write_text
from graftwork.core.recipe import read_recipe
from graftwork.data.store import TokenStore
from graftwork.pipeline.folder import RunFolder
from graftwork.pipeline.pages.preview import Piece, PreviewRow, preview_page
from graftwork.pipeline.pages.preview_rows import chosen_rows, num_windows, preview_row
from graftwork.pipeline.pages.visible import plain
from graftwork.pipeline.recipes import requested
from graftwork.pipeline.watch import Quiet
from graftwork.pipeline.work import Work, prepared_tokens

PAGE, SIDE = "data/preview.html", "train"

LEARNED, OTHER = ("bold green underline", "green underline"), ("default", "dim")
SPECIAL = "reverse dim"


def preview_rows(folder: Path, num: int, *, as_json: bool) -> None:
    """Show `num` training rows of the run in `folder`, and write them as a page into it.

    Args:
        as_json: write the page and print nothing: standard output belongs to the command's answer.

    Raises:
        NotFoundError: nothing is prepared there.
    """
    done = RunFolder(folder).steps().get("prepare")
    if done is None:
        raise NotFoundError(f"{folder} holds no prepared data. Run `graftwork prepare` with it first.")
    spec = requested(read_recipe(folder / "recipe.yaml"))
    work = Work(spec=spec, folder=RunFolder(folder), watch=Quiet())
    rows = _rows(work, prepared_tokens(work, SIDE, done.summary), num)
    write_text(folder / PAGE, preview_page(rows, name=spec.name))
    if not as_json:
        show_preview(Console(highlight=False), rows)
        Console(highlight=False).print(f"The same as a page: {folder / PAGE}", markup=False, soft_wrap=True)


def _rows(work: Work, store: TokenStore, num: int) -> list[PreviewRow]:
    windows = store.windows.tolist()
    tokenizer = work.chat.tokenizer
    added = tokenizer.added_tokens_decoder.items()
    special = {*tokenizer.all_special_ids, *(i for i, token in added if token.special)}

    def decode(tokens: Sequence[int]) -> str:
        text: str = tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
        return text

    chosen = chosen_rows(windows, num)
    return [preview_row(store[i], decode, special, windows=num_windows(windows, i)) for i in chosen]


def show_preview(console: Console, rows: Sequence[PreviewRow]) -> None:
    """Print `rows`: learned tokens green and underlined, control tokens reversed, shades alternating by token."""
    console.print(Text.assemble(("learned", LEARNED[1]), "  context, not learned  ", ("control token", SPECIAL)))
    for row in rows:
        window = f", window {row.window + 1} of {row.num_windows}" if row.num_windows > 1 else ""
        told = f"{row.origin}{window}: {row.num_tokens:,} tokens, {row.num_targets:,} learned"
        console.print()
        console.print(Text(plain(told), "bold"))
        console.print(_line(row.pieces))


def _line(pieces: Sequence[Piece]) -> Text:
    line = Text()
    for number, piece in enumerate(pieces):
        shade = (LEARNED if piece.is_target else OTHER)[number % 2]
        if piece.is_special:
            shade = f"{SPECIAL} {LEARNED[1]}" if piece.is_target else SPECIAL
        line.append(plain(piece.text).replace("\t", "⇥ ").replace("\n", "↵\n"), shade)
    return line
