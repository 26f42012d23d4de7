"""An answer made again from its receipt, and held against it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from graftwork.adapters.files import read_adapter
from graftwork.adapters.standing import at_rest
from graftwork.core.errors import GraftworkError, IntegrityError, Problem, SpecError, WorkError
from graftwork.core.files import each_key_once
from graftwork.core.spec import parse
from graftwork.registry import versions
from graftwork.registry.access.roles import Principal
from graftwork.serving.asked import Ask, Served, Update
from graftwork.serving.http.openai.asked import ChatRequest, CompletionRequest
from graftwork.serving.http.openai.planned import of_chat, of_completion
from graftwork.serving.http.parts import Parts
from graftwork.serving.interface import Engine
from graftwork.serving.models.lineage import content_of, lineage_of
from graftwork.serving.operations.receipts import BLOCK, BaseNote, EngineNote, Receipt, sampling_of, tokens_note

if TYPE_CHECKING:
    from graftwork.adapters.bank import AdapterBank, Handle
    from graftwork.registry.state import Registry

ADAPTER = "adapter/"
"""Where the adapter lies among the files of a version."""

WAIT_S = 3600.0
Tokens = Literal["equal", "other", "not answered"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What came of it.

    Attributes:
        tokens: whether the tokens are those of the receipt.
        differences: all that is other than it was, in words: of what the answer follows from, then of the answer.
        count: tokens that were said again.
    """

    tokens: Tokens
    differences: tuple[str, ...]
    count: int


def replay(
    parts: Parts,
    who: Principal,
    receipt: Receipt,
    body: bytes,
    *,
    here: tuple[BaseNote, EngineNote],
    policy: str | None,
    served: Callable[[], Served],
) -> Replayed:
    """Answer a request again and compare.

    Args:
        parts: a server's; its models are not asked.
        receipt: with its signature checked.
        body: of the request, as it was sent.
        here: what answers now.
        policy: digest of the guard's policy for the model now; None where there is none.
        served: the version of the receipt, in memory. Raises GraftworkError when it is not to be had.

    Raises:
        SpecError: the body is not that of the receipt, or the receipt does not say which it was.
    """
    _refuse_other_body(receipt, body)
    differences = [*_differences("base", receipt.base, here[0]), *_differences("engine", receipt.engine, here[1])]
    before = receipt.guard.policy if receipt.guard else None
    if before != policy:
        differences.append(f"guard: policy {_short(before)} then, {_short(policy)} now")
    prompt_T = _prompt(parts, who, receipt, body)
    if tokens_note(prompt_T, blocks=False) != receipt.prompt:
        differences.append(f"prompt: {receipt.prompt.count} tokens then, {len(prompt_T)} now, or others of them")
        return Replayed(tokens="not answered", differences=tuple(differences), count=0)
    try:
        version = served()
    except GraftworkError as error:
        differences.append(f"version: {error}")
        return Replayed(tokens="not answered", differences=tuple(differences), count=0)
    if version.content != receipt.content:
        differences.append(f"content: {receipt.content[:12]} then, {version.content[:12]} now")
    said_T, finish = _said(parts.engine, _ask(parts, receipt, prompt_T, version))
    departure = _departure(receipt, said_T, finish)
    return Replayed(tokens="other" if departure else "equal", differences=(*differences, *departure), count=len(said_T))


def _refuse_other_body(receipt: Receipt, body: bytes) -> None:
    found = sha256(body).hexdigest()
    if receipt.body is None:
        raise SpecError([Problem("receipt", receipt.request, "a receipt that names its request's body")])
    if found != receipt.body:
        expected = f"the body that the receipt is of, with SHA-256 {receipt.body[:12]}..., byte for byte"
        raise SpecError([Problem("--request", f"SHA-256 {found[:12]}...", expected, "A space more is another body.")])


def _prompt(parts: Parts, who: Principal, receipt: Receipt, body: bytes) -> tuple[int, ...]:
    """The tokens that the request comes to here."""
    try:
        raw = json.loads(body, object_pairs_hook=each_key_once)
    except ValueError as error:
        raise SpecError([Problem("--request", "bytes", "JSON", str(error))]) from error
    if isinstance(raw, dict) and "messages" in raw:
        question = of_chat(parts, parse(ChatRequest, raw), who, receipt.request)
    else:
        question = of_completion(parts, parse(CompletionRequest, raw), who, receipt.request)
    number = int(receipt.request.rpartition("-")[2])
    return question.prompts_P_T[number // question.n]


def _ask(parts: Parts, receipt: Receipt, prompt_T: tuple[int, ...], version: Served) -> Ask:
    return Ask(
        id=f"replay-{receipt.request}",
        tenant=receipt.tenant,
        served=version,
        prompt_T=prompt_T,
        sampling=sampling_of(receipt.sampling),
        stop_ids=parts.speech.chat.stop_ids,
    )


def _said(engine: Engine, ask: Ask) -> tuple[list[int], str]:
    """What an engine says to it, and how that ended."""
    said_T: list[int] = []
    over: Future[Update] = Future()

    def told(update: Update) -> None:
        said_T.extend(said.token for said in update.said)
        if update.finish is not None:
            over.set_result(update)

    engine.submit(ask, told)
    last = over.result(WAIT_S)
    if last.finish == "failed":
        raise WorkError(f"The engine failed: {last.reason}")
    return said_T, str(last.finish)


def _departure(receipt: Receipt, said_T: Sequence[int], finish: str) -> tuple[str, ...]:
    """Where the answer departs from that of the receipt; of one that was ended from outside, as far as it went."""
    then, wanted = receipt.answer, receipt.answer.count
    now = tokens_note(said_T[:wanted])
    if now == then and (receipt.finish not in ("stop", "length") or receipt.stops or len(said_T) == wanted):
        return ()
    if now == then:
        return (
            f"answer: it ended after {wanted} tokens ({receipt.finish}); now it goes on to {len(said_T)} ({finish})",
        )
    same = next((i for i, (a, b) in enumerate(zip(then.blocks, now.blocks, strict=False)) if a != b), None)
    first = BLOCK * (min(len(then.blocks), len(now.blocks)) if same is None else same)
    last = min(first + BLOCK, wanted)
    ends = f", and it ends after {len(said_T)}" if len(said_T) < wanted else ""
    return (f"answer: other tokens from one of the tokens {first + 1} to {last} on{ends}",)


def _differences(what: str, then: BaseNote | EngineNote, now: BaseNote | EngineNote) -> list[str]:
    pairs = [(name, getattr(then, name), getattr(now, name)) for name in type(then).model_fields]
    return [f"{what}: {name} {_short(a)} then, {_short(b)} now" for name, a, b in pairs if a != b]


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text[:12] if len(text) == 64 else text


def base_note(bank: AdapterBank) -> BaseNote:
    """The base of a bank, for receipts."""
    found = bank.base.fingerprint
    return BaseNote(**{one.name: getattr(found, one.name) for one in fields(found)})


def engine_note(bank: AdapterBank, engine: Engine) -> EngineNote:
    """What computes answers, for receipts."""
    import torch

    from graftwork import __version__

    weight = next(bank.base.model.parameters())
    return EngineNote(
        name=type(engine).__name__,
        code=__version__,
        torch=str(torch.__version__),
        threads=torch.get_num_threads(),
        dtype=str(weight.dtype).removeprefix("torch."),
        device=weight.device.type,
    )


def served_of(bank: AdapterBank, registry: Registry, who: Principal, name: str, version: str | None) -> Served:
    """A version from a registry, put into a bank with all that it stands on; the base where it is None.

    Raises:
        NotFoundError: there is no such version.
        IntegrityError: its files are not as recorded, or another adapter's.
    """
    if version is None:
        content = bank.base.fingerprint.weights
        return Served(name=name, version=None, content=content, row=None)
    lineage = lineage_of(registry, who, version)
    handles = tuple(_loaded(bank, registry, who, one, is_last=one is lineage[-1]) for one in lineage)
    row = handles[0] if len(handles) == 1 else handles
    return Served(name=name, version=version, content=content_of(lineage), row=row)


def _loaded(
    bank: AdapterBank, registry: Registry, who: Principal, version: versions.Version, *, is_last: bool
) -> Handle:
    notes = [note for note in version.manifest.files if note.path.startswith(ADAPTER)]
    with TemporaryDirectory() as work:
        for note in notes:
            path = Path(work) / note.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.writelines(versions.read_file(registry, who, version.digest, note.path))
        loaded = read_adapter(Path(work) / ADAPTER, bank.base)
    if loaded.card is None or loaded.card.digest != version.manifest.content:
        raise IntegrityError(f"the adapter of version {version.digest[:12]} is another one than its manifest says.")
    adapter = loaded.adapter if is_last else at_rest(loaded.adapter)
    return bank.add(adapter, name=version.digest[:12])
