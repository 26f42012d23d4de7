"""What a receipt says of an answer: all that it follows from, by digest; never what was asked or said. Pure.

    digest of a receipt = SHA-256(canonical JSON of it), which names it

Who has the request and the version can have the answer made again (`graftwork replay`) and hold it against this. A
digest of a short answer can be guessed by trying; receipts are for their tenant alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Literal

from pydantic import Field

from graftwork.core.digests import digest
from graftwork.core.errors import IntegrityError
from graftwork.core.spec import Spec, parse, plain
from graftwork.registry.signing.envelope import of_receipt, predicate_of, signed, signers
from graftwork.registry.signing.keys import PrivateKey, PublicKey
from graftwork.serving.asked import Ask, Sampling
from graftwork.serving.guard.finding import Intervention

BLOCK = 16
"""Tokens after each so many of which the digest of an answer so far is told, to say where another one departs."""


class BaseNote(Spec):
    """The base that answered, part by part."""

    weights: str
    """Digest of its weights."""

    config: str
    """Digest of its config."""

    tokenizer: str
    """Digest of its tokenizer."""

    template: str
    """Digest of its chat template."""


class EngineNote(Spec):
    """What computed an answer, as far as its last bits follow from it."""

    name: str
    """Which engine."""

    code: str
    """Version of graftwork."""

    torch: str
    """Version of torch."""

    threads: int | None
    """Threads of a product; null where another program chooses them."""

    dtype: str
    """Type of the base's weights."""

    device: str
    """Kind of device."""


class SamplingNote(Spec):
    """How tokens were chosen; `serving.asked.Sampling` says what each is."""

    max_new_tokens: int
    """Most tokens."""

    temperature: float
    """0 takes the most likely token."""

    top_k: int | None
    """Only so many of the most likely."""

    top_p: float
    """Only those that have this share together."""

    seed: int
    """What chance was drawn from."""

    frequency_penalty: float
    """Taken off for each time that a token was said."""

    presence_penalty: float
    """Taken off once."""

    logit_bias: dict[str, float]
    """Added to logits, by token."""


class TokensNote(Spec):
    """Tokens, by digest."""

    count: int = Field(ge=0)
    """How many."""

    digest: str
    """SHA-256 over each token as four bytes, the lowest first."""

    blocks: tuple[str, ...] = ()
    """The same over the first 16, 32 and so on, of answers; empty of prompts."""


class GuardNote(Spec):
    """What the guard did to one answer and its prompt."""

    policy: str
    """Digest of the policy with the lists that it reads."""

    interventions: dict[str, int]
    """How often each filter did what, such as {"words mask": 2}."""


class Receipt(Spec):
    """A receipt of one answer."""

    format: Literal[1] = 1
    """Version of this form."""

    request: str
    """Id of the answer: that of the HTTP request, a dash, and its number among the answers to it."""

    time_us: int
    """When it was over, in microseconds since 1970 in UTC."""

    tenant: str
    """Whose it is."""

    model: str
    """The name that was asked for."""

    version: str | None
    """Digest of the version that answered; null for the base alone."""

    content: str
    """Digest of what its adapters compute, or of the base's weights."""

    base: BaseNote
    """The base."""

    engine: EngineNote
    """What computed it."""

    sampling: SamplingNote
    """How tokens were chosen."""

    stops: tuple[str, ...]
    """Texts that were to end it, as the client gave them."""

    guard: GuardNote | None
    """What the guard did; null where there is none."""

    body: str | None
    """SHA-256 of the HTTP request's body as it came; null where it is not known."""

    prompt: TokensNote
    """Tokens that the model saw."""

    answer: TokensNote
    """Tokens that it said, whatever was told of them."""

    text: str
    """SHA-256 of the text that was told, in UTF-8."""

    finish: str
    """How it ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """An answer that is over, for its receipt.

    Attributes:
        tokens_T: what the model said.
        text: what was told of it.
        policy: digest of the guard's policy; None where there is none.
        body: digest of the request's body.
    """

    ask: Ask
    time_us: int
    tokens_T: Sequence[int]
    text: str
    finish: str
    stops: tuple[str, ...] = ()
    policy: str | None = None
    interventions: Sequence[Intervention] = ()
    body: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A receipt and its envelope.

    Attributes:
        digest: names the receipt.
        envelope: DSSE, as text.
    """

    digest: str
    receipt: Receipt
    envelope: str


@dataclass(frozen=True, slots=True)
class Notary:
    """Writes and signs receipts for one server."""

    base: BaseNote
    engine: EngineNote
    key: PrivateKey = field(repr=False)

    def receipt(self, answered: Answered) -> Signed:
        """The receipt of an answer."""
        ask, served = answered.ask, answered.ask.served
        receipt = Receipt(
            request=ask.id,
            time_us=answered.time_us,
            tenant=ask.tenant,
            model=served.name,
            version=served.version,
            content=served.content,
            base=self.base,
            engine=self.engine,
            sampling=sampling_note(ask.sampling),
            stops=answered.stops,
            guard=_guard_note(answered),
            body=answered.body,
            prompt=tokens_note(ask.prompt_T, blocks=False),
            answer=tokens_note(answered.tokens_T),
            text=sha256(answered.text.encode("utf-8", "surrogatepass")).hexdigest(),
            finish=answered.finish,
        )
        named = digest(receipt)
        return Signed(digest=named, receipt=receipt, envelope=signed(of_receipt(named, plain(receipt)), self.key))


def read_receipt(envelope: str, trusted: Mapping[str, PublicKey]) -> Signed:
    """The receipt in an envelope, its signature checked.

    Raises:
        IntegrityError: it is no receipt as a server wrote it, or no trusted key signed it.
    """
    told = predicate_of(envelope)
    try:
        receipt = parse(Receipt, dict(told))
    except ValueError as error:
        raise IntegrityError(f"the envelope holds no receipt: {error}") from error
    named = digest(receipt)
    if not signers(envelope, of_receipt(named, plain(receipt)), trusted):
        raise IntegrityError("no trusted key signed the receipt. Name the server's public key: --key FILE.pub")
    return Signed(digest=named, receipt=receipt, envelope=envelope)


def tokens_note(tokens_T: Iterable[int], *, blocks: bool = True) -> TokensNote:
    """Digests of tokens."""
    total, count, told = sha256(), 0, []
    for token in tokens_T:
        total.update(token.to_bytes(4, "little"))
        count += 1
        if blocks and count % BLOCK == 0:
            told.append(total.hexdigest())
    return TokensNote(count=count, digest=total.hexdigest(), blocks=tuple(told))


def sampling_note(sampling: Sampling) -> SamplingNote:
    """How tokens are chosen, to be written down."""
    told: dict[str, Any] = asdict(sampling)
    del told["logprobs"]
    return SamplingNote(**{**told, "logit_bias": {str(token): bias for token, bias in sampling.logit_bias.items()}})


def sampling_of(note: SamplingNote) -> Sampling:
    """How tokens were chosen, to be done again."""
    bias = {int(token): bias for token, bias in note.logit_bias.items()}
    return Sampling(**{**note.model_dump(), "logit_bias": bias})


def _guard_note(answered: Answered) -> GuardNote | None:
    if answered.policy is None:
        return None
    counts = Counter(f"{one.filter} {one.action}" for one in answered.interventions)
    return GuardNote(policy=answered.policy, interventions=dict(sorted(counts.items())))
