"""Helpers of OpenMP end when they are given back, and products go on as before."""

import subprocess
import sys

import pytest

from graftwork.base.threads import given_back, openmp

COUNTED = """
import os, threading, torch
from graftwork.base.threads import give_back, given_back
torch.set_num_threads(3)
give_back()
now = lambda: len(os.listdir("/proc/self/task"))
before = now()
a = torch.arange(90_000.0).view(300, 300)
product = lambda: (a @ a).sum().item()
first = product()
with_helpers = now()
give_back()
after = now()
assert product() == first
give_back()
elsewhere = []
one = threading.Thread(target=lambda: elsewhere.extend([given_back(product), now()]))
one.start()
one.join()
assert elsewhere[0] == first
print(with_helpers - before, after - before, elsewhere[1] - before)
"""


@pytest.mark.skipif(openmp() is None, reason="torch comes without GNU's OpenMP")
def test_helpers_end_in_whichever_thread_they_are_given_back():
    said = subprocess.run([sys.executable, "-c", COUNTED], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == ["2", "0", "1"], "the last is the thread itself"


def test_what_fails_fails_as_it_would():
    with pytest.raises(ZeroDivisionError):
        given_back(lambda: 1 / 0)
    assert given_back(lambda: divmod(7, 2)) == (3, 1)
