"""Roles as a table of permissions, and who asks. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from graftwork.core.errors import DeniedError, Problem, SpecError, did_you_mean

Permission = Literal["read", "add", "approve", "promote", "administer"]
"""read: see versions, names, history, ledger. add: put versions in, name candidates, pin. approve: vouch for a version.
promote: move names (promote, roll back, retire). administer: keys, garbage, backup, restore, checkpoints, import."""

Role = Literal["viewer", "trainer", "approver", "deployer", "admin"]

PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
MAY: Mapping[Role, frozenset[Permission]] = {
    "viewer": frozenset({"read"}),
    "trainer": frozenset({"read", "add"}),
    "approver": frozenset({"read", "approve"}),
    "deployer": frozenset({"read", "promote"}),
    "admin": frozenset(PERMISSIONS),
}
DEFAULT_TENANT = "default"


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """Who asks.

    Attributes:
        actor: what the ledger calls them.
        tenant: whose versions and names they see; never another's.
    """

    actor: str
    tenant: str
    permissions: frozenset[Permission]

    def refuse_unless(self, permission: Permission) -> None:
        """Raise DeniedError unless they have the permission."""
        if permission not in self.permissions:
            having = ", ".join(role for role, may in MAY.items() if permission in may)
            raise DeniedError(f"{self.actor} may not {permission} here; whoever is {having} may.")


def principal(
    actor: str, roles: Iterable[str], *, tenant: str = DEFAULT_TENANT, scopes: Iterable[str] = ()
) -> Principal:
    """Who asks, from roles.

    Args:
        scopes: if any, the permissions that are left of those of the roles.

    Raises:
        SpecError: a role or scope is unknown.
    """
    roles, scopes = tuple(roles), tuple(scopes)
    problems = [*_unknown("role", roles, MAY), *_unknown("scope", scopes, PERMISSIONS)]
    if problems:
        raise SpecError(problems)
    allowed = frozenset(p for role in MAY if role in roles for p in MAY[role])
    left = frozenset(p for p in PERMISSIONS if p in scopes) if scopes else frozenset(PERMISSIONS)
    return Principal(actor=actor, tenant=tenant, permissions=allowed & left)


def _unknown(noun: str, given: Iterable[str], known: Iterable[str]) -> list[Problem]:
    known = tuple(known)
    expected = f"one of {', '.join(known)}"
    return [Problem(noun, one, expected, did_you_mean(one, known)) for one in given if one not in known]
