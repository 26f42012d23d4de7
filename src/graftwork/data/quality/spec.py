"""What a recipe asks of the quality of its records: a field for every check, from the catalogs."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, Tag, create_model

import graftwork.data.quality.record_checks  # fills the catalog
import graftwork.data.quality.whole_checks  # noqa: F401  fills the catalog
from graftwork.core.spec import OFF, Spec, by_form
from graftwork.data.quality.check import CHECKS
from graftwork.data.quality.whole import WHOLE_CHECKS


def _field(check: Any) -> Any:
    spec: Any = check.spec
    settings = Annotated[spec, Tag("a mapping")] | OFF
    about = f"{check.about} Its settings, or off."
    return Annotated[settings, by_form], Field(default=check.default, description=about)


def _fields() -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for catalog in (CHECKS, WHOLE_CHECKS):
        checks: list[Any] = [catalog[name] for name in catalog]
        fields |= {check.name: _field(check) for check in sorted(checks, key=lambda check: int(check.place))}
    return fields


if TYPE_CHECKING:
    QualitySpec = Any
else:
    QualitySpec = create_model(
        "QualitySpec",
        __base__=Spec,
        __doc__="Checks of the records, each with its settings or off. What a check finds is reported, never lost.",
        __module__=__name__,
        **_fields(),
    )
