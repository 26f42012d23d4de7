"""What the HTTP side asks of others, as small protocols; those that may be absent have one that does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graftwork.core.errors import GraftworkError, NotFoundError, OverloadedError
from graftwork.serving.interface import Models

if TYPE_CHECKING:
    from graftwork.registry.access.roles import Principal
    from graftwork.serving.asked import Ask
    from graftwork.serving.models.listing import Listed


class RateLimitedError(OverloadedError):
    """Whoever asks has had their share for now; others may go on."""


class BlockedError(GraftworkError):
    """What is asked may not be asked; in words for whoever asks."""


class ServedModels(Models, Protocol):
    """Names to versions, as clients and operators see them."""

    async def listed(self, who: Principal) -> Sequence[Listed]:
        """Every name of the tenant that can be asked for, the base among them."""

    async def load(self, who: Principal, name: str) -> object:
        """Have what a name means now in memory. Raises as `acquire`."""

    async def unload(self, who: Principal, name: str) -> object:
        """Take it out of memory once nobody uses it.

        Raises:
            NotFoundError: there is no such name.
            ConflictError: it is pinned, or stays in memory anyway.
        """

    async def pin(self, who: Principal, name: str) -> object:
        """Load it and keep it. Raises as `acquire`."""

    async def unpin(self, who: Principal, name: str) -> object:
        """Let it go when room is needed. Raises NotFoundError when it is not pinned."""

    async def refresh(self) -> None:
        """Look at once whether names were moved."""

    async def __aenter__(self) -> object:
        """Begin, in the event loop of the server."""

    async def __aexit__(self, *exception: object) -> None:
        """End."""


class TextFilter(Protocol):
    """Sees the text of one answer as it comes, and lets through what may be told."""

    @property
    def is_blocked(self) -> bool:
        """Whether the answer must end here; it says then that it was filtered."""

    def push(self, text: str) -> str:
        """What may be told now; the rest is held back or dropped."""

    def close(self) -> str:
        """What may be told of what was held back, when nothing more comes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """What somebody asks, before a model sees it.

    Attributes:
        id: of the HTTP request, as the answer's x-request-id.
        model: the name asked for.
        texts: what is asked, turn by turn, or prompt by prompt.
    """

    id: str
    who: Principal
    model: str
    texts: tuple[str, ...]


class Guard(Protocol):
    """What may be asked and told."""

    def prompt(self, asking: Asking) -> tuple[str, ...]:
        """The texts as the model may see them, as many as there are; called outside the event loop.

        Raises:
            BlockedError: it may not be asked.
        """

    def filters(self, asking: Asking) -> Sequence[TextFilter]:
        """Fresh filters for one answer, in their order; none where answers are told as they are.

        Args:
            asking: with its texts as the model sees them.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How one answer ended.

    Attributes:
        finish: stop, length, content_filter, or what kept it from ending so: cancelled, failed.
        tokens_T: what was said.
        text: what was told of it.
        cached_tokens: of the prompt.
        filters: those of the answer, which know what they did.
        reason: why it failed.
    """

    finish: str
    tokens_T: tuple[int, ...]
    text: str
    cached_tokens: int
    filters: tuple[TextFilter, ...] = ()
    reason: str = ""


class Watcher(Protocol):
    """Is told of every answer. Must neither block nor raise; all in the event loop's thread."""

    def asked(self, asking: Asking, body: str, stops: tuple[str, ...]) -> None:
        """A request was read whole; told before its answers begin.

        Args:
            asking: with its texts as the model sees them.
            body: SHA-256 of its body as it came.
            stops: texts that end its answers.
        """

    def begun(self, ask: Ask, who: Principal) -> None:
        """The engine took it."""

    def first_token(self, ask: Ask) -> None:
        """Its first token came."""

    def finished(self, ask: Ask, ended: Ended) -> None:
        """It is over; once for each that began."""

    def answered(self, method: str, path: str, status: int, who: Principal | None, seconds: float) -> None:
        """A request was answered over HTTP; `path` is the route's pattern, so that there are few of them."""

    def receipt(self, ask_id: str) -> str | None:
        """Digest of the receipt of an answer that is over; None where none is written."""


class Receipts(Protocol):
    """Receipts of answers."""

    def find(self, tenant: str, text: str) -> str:
        """The envelope of a tenant's receipt, by its digest or by its answer's id; called outside the event loop.

        Raises:
            NotFoundError: there is none, or it is another tenant's.
        """


class Limits(Protocol):
    """How much a tenant may ask for."""

    def take(self, who: Principal, tokens: int) -> None:
        """Take one request and so many tokens, those of the prompts and the most that the answers may have.

        Raises:
            RateLimitedError: that is more than is left; says when it will be there.
        """

    def give_back(self, who: Principal, tokens: int) -> None:
        """So many of the tokens were not used."""


class NoGuard:
    """Everything may be asked and told."""

    def prompt(self, asking: Asking) -> tuple[str, ...]:
        """As `Guard.prompt`."""
        return asking.texts

    def filters(self, asking: Asking) -> Sequence[TextFilter]:
        """As `Guard.filters`."""
        return ()


class NoLimits:
    """As much as anybody likes."""

    def take(self, who: Principal, tokens: int) -> None:
        """As `Limits.take`."""

    def give_back(self, who: Principal, tokens: int) -> None:
        """As `Limits.give_back`."""


class NoWatcher:
    """Nobody watches."""

    def asked(self, asking: Asking, body: str, stops: tuple[str, ...]) -> None:
        """As `Watcher.asked`."""

    def begun(self, ask: Ask, who: Principal) -> None:
        """As `Watcher.begun`."""

    def first_token(self, ask: Ask) -> None:
        """As `Watcher.first_token`."""

    def finished(self, ask: Ask, ended: Ended) -> None:
        """As `Watcher.finished`."""

    def answered(self, method: str, path: str, status: int, who: Principal | None, seconds: float) -> None:
        """As `Watcher.answered`."""

    def receipt(self, ask_id: str) -> str | None:
        """As `Watcher.receipt`."""
        return None


class NoReceipts:
    """None are written."""

    def find(self, tenant: str, text: str) -> str:
        """As `Receipts.find`."""
        raise NotFoundError(f"no receipt {text[:200]}: this server writes none.")
