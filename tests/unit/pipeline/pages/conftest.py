"""Reports and pages to look at."""

from copy import deepcopy
from html.parser import HTMLParser

import pytest

from graftwork.data.summary import side_summary
from graftwork.data.tally import Tally, flow

VOID = {"meta", "input", "br", "img", "link", "path", "rect"}


class Read(HTMLParser):
    """A page as a browser takes it: its tags, their attributes and all text; refuses tags that do not close."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.open, self.texts = [], [], [], []
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)


@pytest.fixture
def read():
    """`read(page)`: its tags and texts."""
    return Read


def tallied():
    """2,299 rows, of which something became at every step."""
    tally = Tally(num_rows=2299, num_personal=3)
    tally.quarantined.update({("read", "json"): 4, ("quality", "empty"): 30, ("all records", "duplicates"): 14})
    tally.repaired["quality", "whitespace: line ends, blank lines"] = 12
    tally.languages.update({"zh": 2000, "latin": 265})
    tally.personal.update({"phone": 5, "email": 1})
    tally.examples["read", "json"] = [
        {"where": "a.jsonl line 3", "text": "{'bad", "detail": "not JSON", "raw": "{'bad"}
    ]
    repair = {"where": "a.jsonl line 9", "before": "a  b", "after": "a b"}
    tally.examples["quality", "whitespace: line ends, blank lines"] = [repair]
    tally.examples["personal", "phone"] = [{"where": "a.jsonl line 7", "text": "call [PHONE] now"}]
    return tally


@pytest.fixture
def report():
    """`report(**changes)`: what `prepare` reports of 2,299 rows, with `changes`."""

    def made(**changes):
        tally = tallied()
        side = {"lengths": [20] * 2000, "targets": [3] * 2000, "num_records": 2000, "digest": "3f" * 32}
        held = {"lengths": [40] * 251, "targets": [5] * 251, "num_records": 251, "digest": "b7" * 32}
        told = {
            "num_rows": tally.num_rows,
            "flow": flow(tally),
            "train": {**side_summary(**side), "files": ["a.jsonl"]},
            "evaluation": {**side_summary(**held), "files": ["a.jsonl"]},
            "sources": [{"file": "a.jsonl", "layout": "chat", "num_rows": 2299, "num_usable": 2265}],
            "languages": dict(tally.languages),
            "personal_data": {"mode": "mask", "num_records": 3, "kinds": dict(tally.personal)},
            "num_targets_lost": 0,
            "num_read_back": 50,
            "num_not_read_back": 0,
            "examples": [{"step": s, "reason": r, **one} for (s, r), shown in tally.examples.items() for one in shown],
        }
        return deepcopy({**told, **changes})

    return made
