"""Sources of records: files of all kinds, folders, data sets from a hub, as rows with the origin of each."""

from graftwork.data.sources import kinds  # noqa: F401  fills READERS
from graftwork.data.sources.reader import READERS

__all__ = ["READERS"]
