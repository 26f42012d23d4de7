"""Which rows a preview shows, and their tokens as pieces that can be read. Pure."""

from collections.abc import Callable, Container, Iterator, Sequence

from graftwork.data.encode import Encoded
from graftwork.pipeline.pages.preview import Piece, PreviewRow

Decode = Callable[[Sequence[int]], str]
"""Tokens as text, control tokens too."""

LOST = "\ufffd"
"""What stands for bytes that are no character, or not yet."""

MOST_BYTES = 4
"""Of a character, and so its tokens at most."""
MOST_TOGETHER = 16
"""Tokens of one piece at most; bytes that never become a character are shown as they are."""


def spread(num_rows: int, num: int) -> list[int]:
    """`num` of `num_rows`, evenly, first and last among them; all when there are not more.

    >>> spread(101, 3), spread(2, 5), spread(9, 1)
    ([0, 50, 100], [0, 1], [0])
    """
    if num >= num_rows:
        return list(range(num_rows))
    if num == 1:
        return [0]
    return [round(i * (num_rows - 1) / (num - 1)) for i in range(num)]


def chosen_rows(windows: Sequence[int], num: int) -> list[int]:
    """Which rows to show: `num` spread evenly, but always one of a record with several windows when there is one.

    Of such a record its second window is shown, which begins with what it repeats; with room for three, its first too.

    Args:
        windows: for each row, which window of its record it is, counted from 0.
    """
    even = spread(len(windows), num)
    second = next((i for i, window in enumerate(windows) if window == 1), None)
    if second is None or num < 1:
        return even
    wanted = [second - 1, second] if num > 2 else [second]
    others = sorted((i for i in even if i not in wanted), key=lambda i: -abs(i - second))
    return sorted([*wanted, *others[: max(0, len(even) - len(wanted))]])


def num_windows(windows: Sequence[int], i: int) -> int:
    """Windows of the record that row `i` is of.

    >>> num_windows([0, 0, 1, 2, 0], 2)
    3
    """
    last = i
    while last + 1 < len(windows) and windows[last + 1] == windows[last] + 1:
        last += 1
    return windows[last] + 1


def preview_row(entry: Encoded, decode: Decode, special: Container[int], *, windows: int = 1) -> PreviewRow:
    """`entry` as it is shown.

    Args:
        special: control tokens.
        windows: how many its record has.
    """
    return PreviewRow(
        origin=str(entry.origin),
        source=entry.source,
        window=entry.window,
        num_windows=windows,
        pieces=tuple(pieces(entry.tokens_T, entry.is_target_T, decode, special)),
        num_tokens=len(entry.tokens_T),
        num_targets=entry.num_targets,
    )


def pieces(
    tokens_T: Sequence[int], is_target_T: Sequence[bool], decode: Decode, special: Container[int]
) -> Iterator[Piece]:
    """Tokens as text, piece by piece; tokens that share a character are one piece.

    A token is decoded with the piece before it, because some tokenizers write a space only after something. What is
    learned and what is not is never one piece, and the first token of a row is never learned.
    """
    before: list[int] = []
    run: list[int] = []
    is_learned = False
    for i, token in enumerate(tokens_T):
        learned, is_special = bool(is_target_T[i]) and i > 0, token in special
        ends = bool(run) and (is_special or learned != is_learned)
        if ends or (run and _is_whole(decode, before, run, token)):
            at = len(run) if ends else _settled(decode, before, run)
            yield Piece(_text(decode, before, run[:at]), is_learned, num_tokens=at)
            before, run = run[:at], run[at:]
        run, is_learned = [*run, token], learned
        if is_special:
            yield Piece(decode(run), learned, is_special=True)
            before, run = run, []
    if run:
        yield Piece(_text(decode, before, run), is_learned, num_tokens=len(run))


def _is_whole(decode: Decode, before: Sequence[int], run: Sequence[int], token: int) -> bool:
    """Whether `run` is a piece by itself, so that `token` begins the next one."""
    text = _text(decode, before, run)
    if not text.endswith(LOST) or len(run) >= MOST_TOGETHER:
        return True
    longer = _text(decode, before, [*run, token])
    added = longer.removeprefix(text)
    return longer.startswith(text) and bool(added.replace(LOST, ""))  # then it stays lost, whatever follows


def _settled(decode: Decode, before: Sequence[int], run: Sequence[int]) -> int:
    """Tokens of `run` that say what they say whatever follows: all, but for the bytes of a character that has begun."""
    text = _text(decode, before, run)
    if not text.endswith(LOST):
        return len(run)
    for at in range(max(1, len(run) - MOST_BYTES + 1), len(run)):
        if _text(decode, before, run[:at]) + _text(decode, run[:at], run[at:]) == text:
            return at
    return len(run)


def _text(decode: Decode, before: Sequence[int], run: Sequence[int]) -> str:
    whole, head = decode([*before, *run]), decode(before) if before else ""
    return whole[len(head) :] if whole.startswith(head) else decode(run)
