"""Who may do what; API keys; signatures; stores of blobs; schema."""

import json
import stat
from dataclasses import replace
from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from tests.support.registries import ADMIN, Clock, hexed, manifest, memory_registry, put

from graftwork.core.errors import ConflictError, DeniedError, IntegrityError, NotFoundError, SpecError
from graftwork.core.spec import parse
from graftwork.registry import naming, versions
from graftwork.registry.access.keys import all_keys, authenticated, new_key, revoke
from graftwork.registry.access.roles import MAY, principal
from graftwork.registry.backup import back_up, restore
from graftwork.registry.blobs.memory import MemoryBlobs
from graftwork.registry.checking import check
from graftwork.registry.collecting import collect, plan
from graftwork.registry.databases.migrating import upgrade
from graftwork.registry.databases.sql import METADATA, sqlite_engine
from graftwork.registry.exchange import import_version
from graftwork.registry.manifest import manifest_bytes, read_manifest
from graftwork.registry.pins import pin, unpin
from graftwork.registry.place import PlaceSpec, make, opened
from graftwork.registry.signing.envelope import of_version, signed, signers
from graftwork.registry.signing.keys import read_private_key, read_public_key, trusted_in, write_new_key

D = hexed("d")
ACTS = {
    "read": [
        lambda r, w: versions.get(r, w, D),
        lambda r, w: versions.all_versions(r, w),
        lambda r, w: versions.find(r, w, D),
        lambda r, w: list(versions.read_file(r, w, D, "x")),
        lambda r, w: naming.resolve(r, w, "bot"),
        lambda r, w: naming.names(r, w),
        lambda r, w: naming.history(r, w, "bot"),
        lambda r, w: naming.at(r, w, "bot", r.clock()),
        lambda r, w: check(r, w),
    ],
    "add": [
        lambda r, w: versions.add(r, w, manifest("a"), {}),
        lambda r, w: naming.nominate(r, w, "bot", D, expected=None),
        lambda r, w: pin(r, w, D, "x", r.clock() + timedelta(1)),
        lambda r, w: unpin(r, w, D, "x"),
    ],
    "approve": [lambda r, w: naming.approve(r, w, "bot", D, "canary")],
    "promote": [
        lambda r, w: naming.promote(r, w, "bot", D, "canary", expected=None),
        lambda r, w: naming.rollback(r, w, "bot", expected=None),
        lambda r, w: naming.retire(r, w, "bot", expected=None),
    ],
    "administer": [
        lambda r, w: new_key(r, w, "kim", ["viewer"]),
        lambda r, w: revoke(r, w, "x"),
        lambda r, w: all_keys(r, w),
        lambda r, w: plan(r, w),
        lambda r, w: collect(r, w),
        lambda r, w: back_up(r, w, "/nowhere/b.tar"),
        lambda r, w: restore(r, w, "/nowhere/b.tar"),
        lambda r, w: import_version(r, w, "/nowhere/b.tar"),
    ],
}


@pytest.mark.parametrize("role", MAY)
@pytest.mark.parametrize("permission", ACTS)
def test_every_role_may_do_what_the_table_says_and_nothing_else(role, permission):
    registry, _ = memory_registry()
    for act in ACTS[permission]:
        try:
            act(registry, principal("kim", [role]))
            is_allowed = True
        except DeniedError:
            is_allowed = False
        except (NotFoundError, SpecError, ConflictError, OSError, AttributeError):
            is_allowed = True  # it came past the door
        assert is_allowed == (permission in MAY[role])


def test_a_key_opens_with_its_roles_until_its_end_or_revocation():
    registry, clock = memory_registry()
    text = new_key(
        registry, ADMIN, "kim", ["trainer", "deployer"], scopes=["read"], tenant="acme", expires=clock() + timedelta(1)
    )
    who = authenticated(registry, text)
    assert (who.actor, who.tenant, who.permissions) == ("kim", "acme", {"read"})
    clock.go(days=1)
    with pytest.raises(DeniedError, match="unknown, revoked, or past its end"):
        authenticated(registry, text)
    other = new_key(registry, ADMIN, "lee", ["viewer"])
    assert authenticated(registry, f" {other}\n").permissions == {"read"}
    revoke(registry, ADMIN, other.split("_")[1])
    with pytest.raises(DeniedError):
        authenticated(registry, other)
    with pytest.raises(ConflictError, match="revoked already"):
        revoke(registry, ADMIN, other.split("_")[1])
    with pytest.raises(NotFoundError):
        revoke(registry, ADMIN, "nope")


def test_wrong_keys_are_all_answered_alike_and_no_secret_is_kept():
    registry, _ = memory_registry()
    text = new_key(registry, ADMIN, "kim", ["viewer"])
    _, id_, secret = text.split("_")
    wrong = [f"gw_{id_}_{secret[:-1]}x", f"gw_{'0' * 12}_{secret}", "", "gw", text + "x", "gw_é_x", text[:-1]]
    for one in wrong:
        with pytest.raises(DeniedError) as refused:
            authenticated(registry, one)
        assert str(refused.value) == "This API key does not open the registry: it is unknown, revoked, or past its end."
    kept = repr(registry.database._kept)
    assert secret not in kept
    assert "$argon2id$" in kept
    assert secret not in repr(all_keys(registry, ADMIN))


def test_all_that_is_wrong_with_a_new_key_is_told():
    registry, clock = memory_registry()
    with pytest.raises(SpecError) as refused:
        new_key(registry, ADMIN, "k m", [], tenant="", expires=clock())
    assert [p.path for p in refused.value.problems] == ["owner", "tenant", "roles", "expires"]
    with pytest.raises(SpecError, match="Did you mean 'trainer'"):
        new_key(registry, ADMIN, "kim", ["trainr"])


def test_private_keys_are_their_owners_alone_and_never_shown(tmp_path):
    public = write_new_key(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    key = read_private_key(tmp_path / "key")
    assert key.public == public == read_public_key(tmp_path / "key.pub")
    assert trusted_in(tmp_path) == {public.key_id: public}
    assert "hidden" in repr(key)
    with pytest.raises(ConflictError, match="never overwritten"):
        write_new_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(SpecError, match="chmod 600"):
        read_private_key(tmp_path / "key")
    (tmp_path / "no.pub").write_text("no key")
    with pytest.raises(SpecError, match="a public Ed25519 key"):
        trusted_in(tmp_path)
    with pytest.raises(SpecError, match="a place where"):
        write_new_key(tmp_path / "none" / "key")


def test_an_envelope_follows_the_published_forms(tmp_path):
    """RFC 8032 keys, DSSE's pre-authentication encoding, in-toto's statement: checked without our own reader."""
    import base64

    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    write_new_key(tmp_path / "key")
    key = read_private_key(tmp_path / "key")
    envelope = json.loads(signed(of_version(manifest("a")), key))
    payload = base64.b64decode(envelope["payload"])
    kind = "application/vnd.in-toto+json"
    encoded = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    load_pem_public_key((tmp_path / "key.pub").read_bytes()).verify(
        base64.b64decode(envelope["signatures"][0]["sig"]), encoded
    )
    said = json.loads(payload)
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["subject"][0] == {"name": "version", "digest": {"sha256": put(memory_registry()[0], "a")}}


def test_only_trusted_keys_count_and_a_wrong_signature_of_one_is_refused(tmp_path):
    write_new_key(tmp_path / "key")
    key, statement = read_private_key(tmp_path / "key"), of_version(manifest("a"))
    text, trusted = signed(statement, key), {key.public.key_id: key.public}
    assert signers(text, statement, trusted) == {key.public.key_id}
    assert signers(text, statement, {}) == frozenset()
    envelope = json.loads(text)
    envelope["signatures"][0]["sig"] = "A" * 86 + "=="
    with pytest.raises(IntegrityError, match="is wrong"):
        signers(json.dumps(envelope), statement, trusted)
    for bad in ("", "[]", "{}", "nul\0", json.dumps({**envelope, "signatures": []}), "[" * 5000):
        with pytest.raises(IntegrityError):
            signers(bad, statement, trusted)


def test_a_manifest_has_one_text_and_no_other():
    text = manifest_bytes(manifest("a"))
    assert read_manifest(text) == manifest("a")
    for bad in (text + b" ", b"{}", b"\xff", text.replace(b'"seed":7', b'"seed":7.0'), b"[" * 9000, b'{"a":1,"a":1}'):
        with pytest.raises(IntegrityError):
            read_manifest(bad)
    with pytest.raises(SpecError, match="each path once, sorted"):
        manifest("a", files=[{"path": "b", "digest": D, "num_bytes": 1}, {"path": "a", "digest": D, "num_bytes": 1}])
    for path in ("../x", "/x", "a//b", "a/../b", ".x", "a\n"):
        with pytest.raises(SpecError):
            manifest("a", files=[{"path": path, "digest": D, "num_bytes": 1}])


def test_migrations_make_the_declared_tables(tmp_path):
    engine = sqlite_engine(tmp_path / "x.db")
    assert (upgrade(engine), upgrade(engine)) == (True, False)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
    engine.dispose()
    assert found == []


def test_a_place_is_made_once_and_others_are_refused(tmp_path):
    path = tmp_path / "registry"
    with pytest.raises(NotFoundError, match="graftwork registry init"):
        opened(path)
    assert (make(path, PlaceSpec(), ADMIN), make(path, PlaceSpec(), ADMIN)) == (True, False)
    registry = opened(path)
    put(registry, "a")
    registry.database.close()
    with pytest.raises(ConflictError, match="is a registry already"):
        make(path, PlaceSpec(database="postgresql://x@y/z"), ADMIN)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").touch()
    with pytest.raises(ConflictError, match="something else"):
        make(tmp_path / "notes", PlaceSpec(), ADMIN)
    with pytest.raises(SpecError, match="PGPASSWORD") as refused:
        parse(PlaceSpec, {"database": "postgresql://me:hidden@host/x"})
    assert "hidden" not in str(refused.value)
    (path / "policy.yaml").write_text("production: {aprovers: 2}\n")
    with pytest.raises(SpecError, match="Did you mean 'approvers'"):
        opened(path)
    (path / "policy.yaml").write_text("{}\n")
    (path / "registry.db").unlink()
    with pytest.raises(NotFoundError, match="Restore a backup"):
        opened(path)


@pytest.mark.parametrize("kind", ["memory", "folder", "objects in memory", "objects in a folder"])
def test_stores_of_blobs_keep_their_promises(kind, tmp_path):
    blobs = store(kind, tmp_path)
    digest = blobs.put([b"some", b"thing"])
    assert digest == blobs.put(iter([b"something"])) == hexed("something")
    assert b"".join(blobs.read(digest)) == b"something"
    assert (blobs.find(digest).num_bytes, blobs.find(hexed("x"))) == (9, None)
    large = blobs.put([bytes(1 << 20)] * 12)
    assert {blob.digest for blob in blobs.each()} == {digest, large}
    assert sum(map(len, blobs.read(large))) == 12 << 20
    for _ in range(2):
        blobs.remove(digest)
    with pytest.raises(NotFoundError):
        list(blobs.read(digest))
    registry, _ = memory_registry()
    registry = replace(registry, blobs=blobs)
    put(registry, "a")
    assert not check(registry, ADMIN).problems


def store(kind, path):
    if kind == "memory":
        return MemoryBlobs(Clock())
    if kind == "folder":
        from graftwork.registry.blobs.folder import FolderBlobs

        return FolderBlobs(path / "blobs")
    obstore = pytest.importorskip("obstore.store", reason="pip install 'graftwork[objects]'")
    from graftwork.registry.blobs.objects import ObjectBlobs

    if kind == "objects in memory":
        return ObjectBlobs(obstore.MemoryStore())
    return ObjectBlobs(obstore.LocalStore(path / "objects", mkdir=True))
