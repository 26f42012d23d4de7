"""What is asked of the models of a server."""

from pydantic import Field

from graftwork.core.spec import Spec
from graftwork.serving.sizes import Bytes


class ModelsSpec(Spec):
    """How adapters come into memory and stay there."""

    memory: Bytes = 2 << 30
    """Most bytes of adapters in memory. An adapter of rank 16 on a base of 7 billion parameters has 160 MB."""

    cache: str | None = Field(default=None, min_length=1)
    """A folder of this server alone for adapters from the registry; one for the time it runs when null."""

    disk: Bytes = 16 << 30
    """Most bytes of adapters in that folder, copied from the registry and checked."""

    poll_s: float = Field(default=0.5, gt=0, le=3600)
    """Seconds between two looks at whether a name was moved by somebody else."""

    patience_s: float = Field(default=5.0, ge=0)
    """Seconds after which nobody overtakes an adapter that waits for memory, and others make room for it."""

    wait_s: float = Field(default=60.0, gt=0)
    """Most seconds that a request waits for its adapter before it is told to come again."""

    refused_s: float = Field(default=10.0, ge=0)
    """Seconds for which a version that was refused is not tried again."""

    loaders: int = Field(default=2, ge=1, le=64)
    """Threads that read adapters."""
