"""Parquet, read batch by batch."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from graftwork.data.sources.found import Found, of_file
from graftwork.data.sources.reader import READERS, Kind, Opened
from graftwork.data.sources.tables import BATCH_ROWS, damaged, names_in, repeated, rows_of

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile


def parquet(opened: Opened) -> Iterator[Found]:
    """The rows of a Parquet file, by number."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    with opened.path.open("rb") as stream:
        if not stream.read(1):
            return
        try:
            file = ParquetFile(stream)
            schema = file.schema_arrow
        except (ArrowException, OSError, ValueError) as error:
            yield damaged(opened.name, error, of_file(opened.name))
            return
        if wrong := repeated(schema.names, opened.name):
            yield wrong
            return
        yield from rows_of(_batches(file, opened), opened.name, names_in(schema.metadata))


def _batches(file: "ParquetFile", opened: Opened) -> Iterator["pyarrow.RecordBatch"]:
    """All batches; of the file's bytes, as many are told of as its rows that were read are of all."""
    size_bytes, num_rows = opened.path.stat().st_size, max(1, file.metadata.num_rows)
    seen, told_bytes = 0, 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS):
        seen += batch.num_rows
        here_bytes = size_bytes * seen // num_rows
        opened.progress(here_bytes - told_bytes)
        told_bytes = here_bytes
        yield batch


READERS.add("parquet", Kind(name="Parquet", read=parquet, is_text=False))
