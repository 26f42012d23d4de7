"""The vault: what each placeholder stands for, sealed. Worthless without the key."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from graftwork.core.errors import IntegrityError, Problem, SpecError
from graftwork.core.files import read_json, write_json
from graftwork.data.privacy.key import Key
from graftwork.data.privacy.pseudonym import PLACEHOLDER, Pseudonyms

FORMAT = "graftwork vault 1"
BEGINNING = re.compile(r"[\[+(（＋0-9A-Za-z０-９Ａ-Ｚａ-ｚ]")
PROOF, PROOF_TEXT = "", "this key"
"""An entry of no placeholder by which a wrong key is told at once."""


def merged(vaults: Iterable[Mapping[str, bytes]]) -> dict[str, bytes]:
    """One vault of several.

    Raises:
        IntegrityError: two of them seal different values under one placeholder: a collision, or different keys.
    """
    whole: dict[str, bytes] = {}
    for vault in vaults:
        for placeholder, sealed in vault.items():
            if whole.setdefault(placeholder, sealed) != sealed:
                raise IntegrityError(
                    f"{placeholder} stands for two different values: the vaults were made with different keys, "
                    f"or two values"
                    " share a code. Clean all the data again with one key, a fresh one in the second case."
                )
    return whole


def proof_of(key: Key) -> bytes:
    """What tells `key` from another and nothing about it: a known text, sealed."""
    return Pseudonyms(key).sealed(PROOF, PROOF_TEXT)


def write_vault(path: Path, entries: Mapping[str, bytes], key: Key) -> None:
    """Write `entries` whole, with a proof of the key. Entries in order, so the same data gives the same bytes.

    Raises:
        IntegrityError: an entry does not open with `key`.
    """
    pseudonyms = Pseudonyms(key)
    foreign = next((name for name, sealed in entries.items() if pseudonyms.opened(name, sealed) is None), None)
    if foreign is not None:
        raise IntegrityError(f"the entry {foreign} was sealed with another key. Nothing was written.")
    proof = proof_of(key)
    sealed = {name: base64.b64encode(entries[name]).decode() for name in sorted(entries)}
    write_json(path, {"format": FORMAT, "proof": base64.b64encode(proof).decode(), "entries": sealed})


def read_vault(path: Path) -> dict[str, bytes]:
    """Placeholders and what is sealed under them; the proof of the key is under the empty name.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is no vault, or not whole.
    """
    read = read_json(path)
    try:
        if not isinstance(read, dict) or read.get("format") != FORMAT:
            raise ValueError("no vault")
        sealed = {PROOF: read["proof"], **read["entries"]}
        return {name: base64.b64decode(text, validate=True) for name, text in sealed.items()}
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise IntegrityError(
            f"{path} is no vault of this format, or not whole. Restore it from where it came."
        ) from error


def restored(text: str, vault: Mapping[str, bytes], key: Key) -> str:
    """`text` with what its placeholders stand for, as it was written. What is in no vault stays.

    Raises:
        SpecError: the key is not the one of this vault; nothing is restored.
        IntegrityError: an entry was changed since it was sealed.
    """
    pseudonyms = Pseudonyms(key)
    _check(vault, pseudonyms)

    parts: list[str] = []
    done = 0
    for start, end in _places(text, vault):
        name = text[start:end]
        opened = pseudonyms.opened(name, vault[name])
        if opened is None:
            raise IntegrityError(f"the vault's entry {name} was changed. Restore the vault from where it came.")
        parts += [text[done:start], opened]
        done = end
    return "".join([*parts, text[done:]])


def _check(vault: Mapping[str, bytes], pseudonyms: Pseudonyms) -> None:
    """Tell a wrong key from a changed entry: a wrong one opens nothing at all."""
    if PROOF in vault:
        is_right = pseudonyms.opened(PROOF, vault[PROOF]) == PROOF_TEXT
    else:
        is_right = not vault or any(pseudonyms.opened(name, sealed) is not None for name, sealed in vault.items())
    if not is_right:
        hint = "Nothing was restored. Use the key with which the data was cleaned."
        raise SpecError([Problem("key", "(hidden)", "the key of this vault", hint)])


def _places(text: str, vault: Mapping[str, bytes]) -> Iterator[tuple[int, int]]:
    """Placeholders and stand-ins of the vault, from left to right, apart, the longest of those that begin together."""
    numbers = {len(name) for name in vault if name and not PLACEHOLDER.fullmatch(name)}
    lengths = sorted(numbers, reverse=True)
    done = 0
    for begin in BEGINNING.finditer(text) if lengths else PLACEHOLDER.finditer(text):
        at = begin.start()
        if at < done:
            continue
        if match := PLACEHOLDER.match(text, at):
            done = match.end() if match.group() in vault else done
        else:
            done = next((at + n for n in lengths if text[at : at + n] in vault and _is_whole(text, at, at + n)), done)
        if done > at:
            yield at, done


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether no digit goes on before or after."""
    return not (text[start - 1 : start].isdecimal() or text[end : end + 1].isdecimal())
