"""Which recognisers a request means."""

from collections.abc import Sequence

from graftwork.data.privacy import recognisers  # noqa: F401  fills the catalog
from graftwork.data.privacy.recogniser import RECOGNISERS, Recogniser


def names_of_kinds() -> list[str]:
    """Everything that `kinds` of a request may name: recognisers and what they find."""
    return sorted({*RECOGNISERS, *(RECOGNISERS[name].kind for name in RECOGNISERS)})


def chosen(kinds: Sequence[str], models: Sequence[str] = ()) -> tuple[Recogniser, ...]:
    """The recognisers asked for, by their names; all embedded ones if none is named.

    Raises:
        SpecError: the package of a recogniser in `models` is missing.
    """
    found = [RECOGNISERS[name] for name in RECOGNISERS]
    if kinds:
        found = [recogniser for recogniser in found if recogniser.name in kinds or recogniser.kind in kinds]
    return (*found, *(_of_model(name) for name in models))


def _of_model(name: str) -> Recogniser:
    if name == "lac":
        from graftwork.data.privacy.models.lac import recogniser
    else:
        from graftwork.data.privacy.models.presidio import recogniser
    return recogniser()
