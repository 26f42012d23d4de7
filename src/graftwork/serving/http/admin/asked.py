"""What the admin API is asked."""

from typing import Literal

from pydantic import Field

from graftwork.core.spec import Spec

Reason = Field(default="", max_length=2000)
Digest = Field(pattern=r"^[0-9a-f]{64}$")
Expected = Field(pattern=r"^[0-9a-f]{64}$")


class Nothing(Spec):
    """An empty body, or an empty object."""


class Promotion(Spec):
    """A version goes to a stage of a name."""

    version: str = Digest
    """The whole digest of the version, 64 of 0-9 and a-f, as /v1/models tells it."""

    to: Literal["canary", "production"] = "production"
    """The stage."""

    expected: str | None = Expected
    """The digest that the name is at there now; null for none. The name moves only from where you saw it."""

    reason: str = Reason
    """Why; kept with the move."""


class Approval(Spec):
    """Somebody vouches for a version."""

    version: str = Digest
    """The whole digest of the version, 64 of 0-9 and a-f, as /v1/models tells it."""

    stage: Literal["canary", "production"] = "production"
    """For which stage of the name."""

    reason: str = Reason
    """Why; kept with the approval."""


class Rollback(Spec):
    """A name goes back to a version that it meant before."""

    version: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """The whole digest of the version; null for the one before the last move."""

    stage: Literal["canary", "production"] = "production"
    """At which stage."""

    expected: str | None = Expected
    """The digest that the name is at there now; null for none."""

    reason: str = Reason
    """Why; kept with the move."""


class Retirement(Spec):
    """A name means nothing any more."""

    stage: Literal["candidate", "canary", "production"] = "production"
    """At which stage."""

    expected: str | None = Expected
    """The digest that the name is at there now."""

    reason: str = Reason
    """Why; kept with the move."""


class NewKey(Spec):
    """A key for somebody of one's own tenant."""

    owner: str = Field(min_length=1, max_length=100)
    """What the ledger calls whoever holds it."""

    roles: tuple[Literal["viewer", "trainer", "approver", "deployer", "admin"], ...] = Field(min_length=1)
    """What they may do."""

    scopes: tuple[Literal["read", "add", "approve", "promote", "administer"], ...] = ()
    """Permissions that are left of those of the roles; all when empty."""

    expires: str | None = Field(default=None, max_length=40)
    """When it ends, such as 2027-01-31T00:00:00Z; never when null."""
