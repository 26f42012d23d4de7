"""The checks of the doctor, a file each; importing this fills the catalog."""

from graftwork.pipeline.doctor.check import CHECKS, Check
from graftwork.pipeline.doctor.checks import (  # noqa: F401
    base_frozen,
    begins_as_base,
    cost,
    cuts,
    data_smells,
    gradients,
    lengths,
    save_and_load,
    targets,
    template,
)


def in_order() -> list[Check]:
    """All checks, as they are made."""
    return sorted((CHECKS[name] for name in CHECKS), key=lambda check: check.order)
