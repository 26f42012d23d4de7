"""Files that are broken in every way we know: nothing raised, no good record lost or changed, all else named."""

import time

import pytest
from tests.support.malformed import Malformed, malformed_files, pair

from graftwork.data.layouts import record_of
from graftwork.data.records import Record
from graftwork.data.source_spec import SourceSpec
from graftwork.data.sources.found import SHOWN_CHARACTERS, Bad
from graftwork.data.sources.read import rows

FILES = malformed_files()
LONGEST_S = 60.0  # a hang, not a speed


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own():
    assert len({file.name for file in FILES}) == len(FILES) >= 200


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_good_record_is_lost_and_all_else_is_named(file: Malformed, tmp_path):
    path = tmp_path / file.name
    path.write_bytes(file.content)
    source = SourceSpec(path=str(path), encoding=file.encoding)
    began_s = time.monotonic()
    found = [_taken(one, source) for one in rows(source)]
    assert time.monotonic() - began_s < LONGEST_S
    good = [one for one in found if isinstance(one, Record)]
    assert [(one.question, one.answer) for one in good] == [pair(number) for number in file.good]
    bads = [one for one in found if isinstance(one, Bad)]
    if file.bad is None:
        assert bads
    else:
        assert [bad.origin.line for bad in bads] == list(file.bad)
    assert file.reason is None or {bad.reason for bad in bads} == {file.reason}
    for bad in bads:
        assert bad.origin.file == str(path)
        assert bad.message.startswith(str(path))
        assert ": expected " in bad.message
        assert len(bad.raw) <= SHOWN_CHARACTERS
        bad.message.encode(), bad.raw.encode()


def _taken(one, source):
    return one if isinstance(one, Bad) else record_of(one, "prompt_completion", source, system=None, source_number=0)
