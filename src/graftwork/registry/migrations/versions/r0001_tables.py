"""The tables of the first form: versions, pointers and their moves, approvals, pins, keys, ledger, checkpoints."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    _table("version", "tenant digest", "manifest envelope? trainer", "added_us collected_us?")
    _table("pointer", "tenant name stage", "digest?", "sequence", of_version=True)
    _table("move", "stage", "tenant name before? after? actor reason", "time_us", "sequence")
    _table("approval", "tenant name stage digest approver", "reason", "time_us", of_version=True)
    _table("pin", "tenant digest holder", "", "until_us", of_version=True)
    _table("api_key", "id", "tenant owner roles scopes hash", "made_us expires_us? revoked_us?")
    _table("ledger", "", "previous tenant actor action subjects details writes digest", "time_us", "sequence")
    _table("checkpoint", "key_id", "digest envelope", "time_us", "sequence")
    op.create_index("move_by_name", "move", ["tenant", "name", "stage", "time_us"])


def _table(name: str, keys: str, texts: str, numbers: str, number_key: str = "", *, of_version: bool = False) -> None:
    """A table from the names of its columns; `?` after what may hold nothing."""
    columns: list[sa.Column[str] | sa.Column[int]] = []
    if number_key:
        columns.append(sa.Column(number_key, sa.BigInteger, primary_key=True, autoincrement=False))
    columns += [sa.Column(key, sa.Text, primary_key=True) for key in keys.split()]
    columns += [sa.Column(c.rstrip("?"), sa.Text, nullable=c.endswith("?")) for c in texts.split()]
    columns += [sa.Column(c.rstrip("?"), sa.BigInteger, nullable=c.endswith("?")) for c in numbers.split()]
    version = [sa.ForeignKeyConstraint(["tenant", "digest"], ["version.tenant", "version.digest"])]
    op.create_table(name, *columns, *(version if of_version else []))
