"""API keys: `gw_<id>_<secret>`, shown once, kept as an argon2 hash; with roles, scopes, a tenant, an end.

Whatever is wrong with a key, the answer is the same, and takes as long: a hash is computed for an unknown id too, and
argon2 compares in constant time.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from graftwork.core.digests import canonical_json
from graftwork.core.errors import ConflictError, DeniedError, NotFoundError, Problem, SpecError
from graftwork.registry.access.roles import Principal, principal
from graftwork.registry.interface import Query, Row, to_us
from graftwork.registry.state import Registry, one, recorded

FORM = re.compile(r"gw_([0-9a-f]{12})_([A-Za-z0-9-]{43})")
OWNER = re.compile(r"[\w.@+-]{1,100}")
REFUSED = "This API key does not open the registry: it is unknown, revoked, or past its end."


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """A key on record, without its secret.

    Attributes:
        owner: what the ledger calls whoever holds it.
        scopes: permissions that are left of those of its roles; all when empty.
    """

    id: str
    tenant: str
    owner: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    made_us: int
    expires_us: int | None
    revoked_us: int | None


def new_key(
    registry: Registry,
    who: Principal,
    owner: str,
    roles: Sequence[str],
    *,
    scopes: Sequence[str] = (),
    tenant: str | None = None,
    expires: datetime | None = None,
) -> str:
    """Make a key and give its text, which is nowhere else.

    Args:
        tenant: that of who asks, by default.
        expires: with its time zone; never when None.

    Raises:
        SpecError: a role, a scope, the owner or the end is wrong; all that is.
    """
    who.refuse_unless("administer")
    tenant = who.tenant if tenant is None else tenant
    _refuse_bad(registry, {"owner": owner, "tenant": tenant}, roles, expires)
    principal(owner, roles, tenant=tenant, scopes=scopes)
    id_, secret = secrets.token_hex(6), secrets.token_urlsafe(32).replace("_", "-")
    with recorded(registry, who, "new key", id=id_, owner=owner, for_tenant=tenant, roles=list(roles)) as page:
        row: Row = {
            "id": id_,
            "tenant": tenant,
            "owner": owner,
            "roles": canonical_json(sorted(set(roles))).decode(),
            "scopes": canonical_json(sorted(set(scopes))).decode(),
            "hash": _hasher().hash(secret),
            "made_us": page.time_us,
            "expires_us": None if expires is None else to_us(expires),
            "revoked_us": None,
        }
        page.insert("api_key", row)
    return f"gw_{id_}_{secret}"


def authenticated(registry: Registry, text: str) -> Principal:
    """Whoever holds a key.

    Raises:
        DeniedError: the key is unknown, revoked, past its end, or no key; which of these is not said.
    """
    told = FORM.fullmatch(text.strip())
    with registry.database.reading() as rows:
        row = one(rows, "api_key", {"id": told[1]}) if told else None
    is_right = _verifies(str(row["hash"]) if row else _nobody(), told[2] if told else "")
    if row is None or not is_right or not _holds(key_of(row), to_us(registry.clock())):
        raise DeniedError(REFUSED)
    key = key_of(row)
    return principal(key.owner, key.roles, tenant=key.tenant, scopes=key.scopes)


def revoke(registry: Registry, who: Principal, id_: str) -> None:
    """Let a key open nothing any more.

    Raises:
        NotFoundError: there is no such key.
        ConflictError: it was revoked before.
    """
    who.refuse_unless("administer")
    with recorded(registry, who, "revoke key", id=id_) as page:
        row = one(page.rows, "api_key", {"id": id_})
        if row is None:
            raise NotFoundError(f"no API key {id_}. `graftwork registry access list` shows them.")
        if row["revoked_us"] is not None:
            raise ConflictError(f"API key {id_} is revoked already.")
        page.update("api_key", row, {"revoked_us": page.time_us})


def all_keys(registry: Registry, who: Principal) -> list[ApiKey]:
    """Every key, the newest first, without secrets."""
    who.refuse_unless("administer")
    with registry.database.reading() as rows:
        return [key_of(row) for row in rows.select(Query(table="api_key", order="made_us", newest_first=True))]


def key_of(row: Row) -> ApiKey:
    """The key in a row."""
    fields: dict[str, Any] = {name: value for name, value in row.items() if name != "hash"}
    lists = {name: tuple(json.loads(fields[name])) for name in ("roles", "scopes")}
    return ApiKey(**{**fields, **lists})


def _holds(key: ApiKey, now_us: int) -> bool:
    return key.revoked_us is None and (key.expires_us is None or now_us < key.expires_us)


def _verifies(hashed: str, secret: str) -> bool:
    try:
        return _hasher().verify(hashed, secret)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobody() -> str:
    """A hash that no secret has, so that an unknown id takes as long as a known one."""
    return _hasher().hash(secrets.token_hex(32))


def _refuse_bad(registry: Registry, words: dict[str, str], roles: Sequence[str], expires: datetime | None) -> None:
    expected = "1 to 100 letters, digits and . _ @ + -"
    problems = [Problem(name, word, expected) for name, word in words.items() if not OWNER.fullmatch(word)]
    if not roles:
        problems.append(Problem("roles", [], "one role or more"))
    if expires is not None and to_us(expires) <= to_us(registry.clock()):
        problems.append(Problem("expires", expires.isoformat(), "a moment that is to come"))
    if problems:
        raise SpecError(problems)
