"""What is asked of those who watch a server: shares, log, receipts."""

from typing import Literal

from pydantic import Field

from graftwork.core.spec import Spec


class RateSpec(Spec):
    """What somebody may ask for."""

    requests_per_minute: float | None = Field(default=None, gt=0)
    """Requests; no bound when null."""

    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Tokens of prompts and answers; no bound when null. A request takes the most that it may use, and gives back what
    it did not."""

    burst_s: float = Field(default=60.0, gt=0, le=86_400)
    """So many seconds' worth may be used at once by whoever has used nothing for as long."""


class RatesSpec(Spec):
    """Who may ask for how much. A request must be within what its tenant and what its key has."""

    tenant: RateSpec = Field(default_factory=RateSpec)
    """Of every tenant that `tenants` does not name."""

    tenants: dict[str, RateSpec] = Field(default_factory=dict)
    """Of the tenants of these names."""

    key: RateSpec = Field(default_factory=RateSpec)
    """Of every holder of keys that `keys` does not name; several keys of one holder share it."""

    keys: dict[str, RateSpec] = Field(default_factory=dict)
    """Of these holders, as TENANT/HOLDER."""


class LogsSpec(Spec):
    """What is logged: a JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written. debug adds the words of unexpected errors, which may hold what was asked."""

    contents: Literal["off", "deidentified"] = "off"
    """off: ids, counts, times alone. deidentified: prompt and answer too, with personal data masked."""

    destination: str = Field(default="stderr", min_length=1)
    """stderr, or a file that lines are put to the end of."""


class ReceiptsSpec(Spec):
    """Signed receipts of answers."""

    folder: str | None = Field(default=None, min_length=1)
    """Where they are kept, of this server alone. When null: beside models.cache where that is set, else beside the
    registry; of adapters from folders none are kept."""

    key: str | None = Field(default=None, min_length=1)
    """File with the private key that signs them; when null server.key in their folder, made at the first start."""
