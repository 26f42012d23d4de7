"""A version as one file, and everything as one file: the same bytes each time, checked in full on the way back."""

import io
import tarfile
from datetime import timedelta

import pytest
from tests.support.registries import ADMIN, DEPLOYER, TRAINER, manifest, memory_registry, put

from graftwork.core.errors import ConflictError, DeniedError, IntegrityError, NotFoundError
from graftwork.registry import naming, versions
from graftwork.registry.backup import back_up, restore
from graftwork.registry.checking import check
from graftwork.registry.collecting import collect
from graftwork.registry.exchange import export_version, import_version
from graftwork.registry.interface import Query
from graftwork.registry.signing.envelope import of_version, signed
from graftwork.registry.signing.keys import read_private_key, write_new_key
from graftwork.registry.tables import TABLES


@pytest.fixture
def key(tmp_path):
    write_new_key(tmp_path / "key")
    return read_private_key(tmp_path / "key")


@pytest.fixture
def parcel(tmp_path, key):
    """A signed version in a file."""
    registry, _ = memory_registry()
    digest = put(registry, "a", envelope=signed(of_version(manifest("a")), key))
    export_version(registry, TRAINER, digest, tmp_path / "a.tar")
    return tmp_path / "a.tar", digest, registry


def test_a_version_travels_whole(parcel, key, tmp_path):
    path, digest, registry = parcel
    there, _ = memory_registry(trusted={key.public.key_id: key.public})
    assert import_version(there, ADMIN, path) == digest
    assert versions.get(there, ADMIN, digest).manifest == manifest("a")
    assert check(there, ADMIN).num_signed == 1
    export_version(registry, TRAINER, digest, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == path.read_bytes()
    with pytest.raises(ConflictError, match="is there already"):
        export_version(registry, TRAINER, digest, path)


def test_a_version_that_nobody_trusted_signed_is_refused_unless_asked(parcel):
    path, digest, _ = parcel
    there, _ = memory_registry()
    with pytest.raises(IntegrityError, match="no key that is trusted here signed version"):
        import_version(there, ADMIN, path)
    assert import_version(there, ADMIN, path, signed=False) == digest
    with pytest.raises(DeniedError):
        import_version(there, TRAINER, path)


def test_every_flipped_byte_of_content_is_refused_and_nothing_is_recorded(parcel, key, tmp_path):
    path, _digest, _ = parcel
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        places = [member.offset_data + at for member in tar for at in range(0, member.size, 97)]
        end = max(member.offset_data + member.size for member in tar.getmembers())
    there, _ = memory_registry(trusted={key.public.key_id: key.public})
    for at in places:
        (tmp_path / "bad.tar").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(IntegrityError):
            import_version(there, ADMIN, tmp_path / "bad.tar")
    for length in range(0, end, 511):
        (tmp_path / "bad.tar").write_bytes(whole[:length])
        with pytest.raises(IntegrityError):
            import_version(there, ADMIN, tmp_path / "bad.tar")
    assert versions.all_versions(there, ADMIN) == []
    with pytest.raises(NotFoundError):
        import_version(there, ADMIN, tmp_path / "none.tar")


def test_a_parcel_with_more_or_other_members_is_refused(parcel, key, tmp_path):
    path, _, _ = parcel
    there, _ = memory_registry(trusted={key.public.key_id: key.public})
    with tarfile.open(path) as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]
    for wrong in (
        [*members, ("files/more", b"x")],
        [*members, ("/etc/passwd", b"x")],
        members[::-1],
        members[:-1],
        [("head.json", b'{"format":2,"kind":"graftwork version"}'), *members[1:]],
    ):
        with tarfile.open(tmp_path / "bad.tar", "w") as tar:
            for name, content in wrong:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        with pytest.raises(IntegrityError):
            import_version(there, ADMIN, tmp_path / "bad.tar")
    assert versions.all_versions(there, ADMIN) == []


def rows_of(registry):
    with registry.database.reading() as rows:
        return {table: rows.select(Query(table=table)) for table in TABLES}


@pytest.fixture
def full(key):
    registry, clock = memory_registry()
    a, _b = put(registry, "a"), put(registry, "b")
    naming.promote(registry, DEPLOYER, "bot", a, "production", expected=None)
    clock.go(days=200)
    put(registry, "c")
    collect(registry, ADMIN, keep=timedelta(days=1))
    return registry


def test_a_backup_brings_everything_back(full, tmp_path):
    num_rows, num_blobs = back_up(full, ADMIN, tmp_path / "b.tar")
    there, _ = memory_registry()
    policy, *numbers = restore(there, ADMIN, tmp_path / "b.tar")
    assert (policy, numbers) == (full.policy, [num_rows, num_blobs])
    assert rows_of(there) == rows_of(full)
    assert not check(there, ADMIN).problems
    with pytest.raises(ConflictError, match="not empty"):
        restore(there, ADMIN, tmp_path / "b.tar")


def test_a_backup_that_was_changed_restores_nothing(full, tmp_path):
    back_up(full, ADMIN, tmp_path / "b.tar")
    whole = (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "b.tar") as tar:
        places = [m.offset_data + at for m in tar for at in range(0, m.size, 131)]
    for at in places:
        (tmp_path / "bad.tar").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        there, _ = memory_registry()
        with pytest.raises(IntegrityError):
            restore(there, ADMIN, tmp_path / "bad.tar")
        assert not any(rows_of(there).values())


def test_a_registry_that_is_not_whole_is_not_backed_up(full, tmp_path):
    digest = versions.all_versions(full, ADMIN)[0].manifest.files[0].digest
    full.blobs.remove(digest)
    with pytest.raises(IntegrityError, match="is missing"):
        back_up(full, ADMIN, tmp_path / "b.tar")
    assert not list(tmp_path.glob("*.tar"))
    assert not list(tmp_path.glob(".b.tar*"))
