"""What the admin API tells."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Moved(BaseModel):
    """A name moved."""

    name: str
    stage: str
    before: str | None
    after: str | None


class Approved(BaseModel):
    """A version was vouched for."""

    name: str
    stage: str
    version: str
    approver: str


class MoveTold(BaseModel):
    """A move of a name."""

    sequence: int
    time: str
    stage: str
    before: str | None
    after: str | None
    actor: str
    reason: str


class History(BaseModel):
    """Every move of a name, the first one first."""

    name: str
    moves: list[MoveTold]


class NameTold(BaseModel):
    """A name, and the digest at each of its stages."""

    name: str
    stages: dict[str, str]


class Names(BaseModel):
    """Every name of the tenant."""

    names: list[NameTold]


class KeyTold(BaseModel):
    """A key, without its secret."""

    id: str
    owner: str
    roles: list[str]
    scopes: list[str]
    made: str
    expires: str | None
    revoked: str | None


class KeysTold(BaseModel):
    """Every key of the tenant, the newest first."""

    keys: list[KeyTold]


class KeyMade(BaseModel):
    """A new key."""

    id: str
    key: str = Field(description="Its text, which is told once.")


class Done(BaseModel):
    """It is done."""

    name: str
    done: str


class EngineTold(BaseModel):
    """How the engine stands; counts are since the server began."""

    waiting: int
    running: int
    kv_tokens: int
    kv_tokens_kept: int | None = Field(description="Null where the engine does not tell.")
    kv_tokens_total: int
    steps: int
    prompt_tokens: int
    cached_tokens: int
    new_tokens: int


class ModelTold(BaseModel):
    """A name that can be asked for."""

    name: str
    version: str | None
    stage: str
    is_in_memory: bool
    is_pinned: bool
    answered_by: str | None = Field(description="The version that requests are given now; null when nobody asked yet.")
    refused: str = Field(description="Why it is not given out; empty when it is.")
    unproved: str = Field(
        description="Why it answers without proof that it acts as in training; empty when it does not."
    )


class Status(BaseModel):
    """How the server stands."""

    is_ready: bool
    is_draining: bool
    requests_under_way: int
    engine: EngineTold
    models: list[ModelTold]
