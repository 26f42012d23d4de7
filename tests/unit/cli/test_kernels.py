"""A server bounds what libraries keep for shapes that have been, and leaves what a user has set."""

import pytest

from graftwork.cli.kernels import keep_few_products


@pytest.mark.parametrize(
    ("said", "then"),
    [
        ({}, {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256", "LRU_CACHE_CAPACITY": "256"}),
        ({"DNNL_PRIMITIVE_CACHE_CAPACITY": "7"}, {"DNNL_PRIMITIVE_CACHE_CAPACITY": "7", "LRU_CACHE_CAPACITY": "256"}),
        ({"LRU_CACHE_CAPACITY": "9"}, {"LRU_CACHE_CAPACITY": "9", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256"}),
    ],
)
def test_few_products_are_kept_unless_the_user_says_otherwise(monkeypatch, said, then):
    monkeypatch.setattr("os.environ", said)
    keep_few_products()
    assert said == then
