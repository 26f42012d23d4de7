"""Arrow: streams of batches, as `datasets` saves them, and Arrow files."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from graftwork.data.sources.found import Found, of_file
from graftwork.data.sources.reader import READERS, Kind, Opened
from graftwork.data.sources.tables import BATCH_ROWS, damaged, names_in, repeated, rows_of

if TYPE_CHECKING:
    import pyarrow

MAGIC = b"ARROW1"


def arrow(opened: Opened) -> Iterator[Found]:
    """The rows of an Arrow file or stream, by number."""
    import pyarrow as pa

    with opened.path.open("rb") as stream:
        is_file = stream.read(len(MAGIC)) == MAGIC
        if not stream.tell():
            return
        stream.seek(0)
        try:
            reader = pa.ipc.open_file(stream) if is_file else pa.ipc.open_stream(stream)
        except (pa.ArrowException, OSError, ValueError) as error:
            yield damaged(opened.name, error, of_file(opened.name))
            return
        if wrong := repeated(reader.schema.names, opened.name):
            yield wrong
            return
        each = _by_number(reader) if is_file else iter(reader)
        yield from rows_of(_batches(each, stream, opened), opened.name, names_in(reader.schema.metadata))


def _by_number(reader: "pyarrow.RecordBatchFileReader") -> Iterator["pyarrow.RecordBatch"]:
    return (reader.get_batch(i) for i in range(reader.num_record_batches))


def _batches(
    each: Iterator["pyarrow.RecordBatch"], stream: BinaryIO, opened: Opened
) -> Iterator["pyarrow.RecordBatch"]:
    told_bytes = 0
    for batch in each:
        here_bytes = stream.tell()
        opened.progress(max(0, here_bytes - told_bytes))
        told_bytes = max(told_bytes, here_bytes)
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)
    opened.progress(max(0, opened.path.stat().st_size - told_bytes))


READERS.add("arrow", Kind(name="Arrow", read=arrow, is_text=False))
