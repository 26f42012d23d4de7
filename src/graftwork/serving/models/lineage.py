"""A version and all that it stands on, as the registry has them; whether they can be served on a base."""

from __future__ import annotations

from collections.abc import Iterator

from graftwork.adapters.standing import MOST_BELOW
from graftwork.base.fingerprint import Fingerprint
from graftwork.core.digests import digest
from graftwork.core.errors import IntegrityError
from graftwork.registry import versions
from graftwork.registry.access.roles import Principal
from graftwork.registry.state import Registry
from graftwork.registry.versions import Version

Lineage = tuple[Version, ...]
"""A version behind all that it stands on, the lowest first."""


def lineage_of(registry: Registry, who: Principal, version: str) -> Lineage:
    """The version of a digest and what it stands on.

    Raises:
        NotFoundError: there is no such version, or it is another tenant's.
        IntegrityError: what it stands on is not on record, or it stands on too many.
    """
    found: list[Version] = [versions.get(registry, who, version)]
    while (below := found[0].manifest.on) is not None:
        if len(found) > MOST_BELOW:
            raise IntegrityError(f"it stands on more than {MOST_BELOW} adapters, or on itself.")
        found.insert(0, _of_content(registry, who, below))
    return tuple(found)


def refuse_unservable(lineage: Lineage, ref: str, base: Fingerprint) -> None:
    """Raise unless adapters alone are asked for, of the base at hand, with their files and a fingerprint of logits.

    Raises:
        IntegrityError: with all that is in the way.
    """
    reasons = [reason for version in lineage for reason in _reasons(version, ref, base)]
    if lineage[-1].manifest.kind == "adapter" and lineage[-1].manifest.logits is None:
        reasons.append("it has no fingerprint of logits, so nobody could tell whether it acts. Run its recipe again.")
    if reasons:
        raise IntegrityError("\n".join(dict.fromkeys(reasons)))


def content_of(lineage: Lineage) -> str:
    """What the adapters compute together, in one digest.

    One that stands on nothing keeps its own.
    """
    contents = [version.manifest.content for version in lineage]
    return contents[0] if len(contents) == 1 else digest(contents)


def _of_content(registry: Registry, who: Principal, content: str) -> Version:
    """A version whose adapter has this digest and whose files are there, if there is one."""
    for one in versions.all_versions(registry, who):
        if one.manifest.content == content and one.collected_us is None:
            return one
    raise IntegrityError(
        f"it stands on the adapter {content[:12]}, which the registry does not hold. Add that one's run."
    )


def _reasons(version: Version, ref: str, base: Fingerprint) -> Iterator[str]:
    manifest = version.manifest
    if manifest.kind == "model":
        yield "it is a whole model, and adapters are served here. Serve it as a base of its own."
        return
    told = manifest.base
    there = Fingerprint(weights=told.weights, config=told.config, tokenizer=told.tokenizer, template=told.template)
    if parts := there.differences(base):
        yield (
            f"it belongs to another base: {told.ref!r} there, {ref!r} here; they differ in {', '.join(parts)}. Serve "
            "it on the base that it was trained on."
        )
    if version.collected_us is not None:
        yield f"the files of version {version.digest[:12]} were given up. Add its run again."
