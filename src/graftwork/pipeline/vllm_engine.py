"""vLLM in the place of our own engine: the base described, the engine begun, and where its adapters live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from graftwork import __version__
from graftwork.adapters.bank import AdapterBank
from graftwork.adapters.probing import dtype_name
from graftwork.base.outline import outline
from graftwork.core.errors import Problem, SpecError
from graftwork.pipeline.answering import Answering
from graftwork.serving.operations.receipts import EngineNote
from graftwork.serving.vllm.engine import VllmEngine
from graftwork.serving.vllm.package import load_vllm
from graftwork.serving.vllm.spec import VllmSpec
from graftwork.serving.vllm.store import VllmStore

if TYPE_CHECKING:
    from graftwork.serving.spec import ServeSpec

UNSTEADY = (
    "vLLM gives an answer other last bits beside other answers: even a greedy one may depend on what else is under "
    "way. Receipts are replayed on graftwork's own engine, so a replay may depart from its receipt."
)


def vllm_answering(spec: ServeSpec) -> Answering:
    """A bank that speaks for the base and computes nothing, and vLLM, which has its weights.

    Raises:
        SpecError: vLLM is not installed, or knows no such number format.
        WorkError: it does not begin.
        GraftworkError: the base is not to be had.
    """
    assert isinstance(spec.engine, VllmSpec)
    if spec.dtype == "float64":
        raise SpecError([Problem("dtype", spec.dtype, "bfloat16, float16 or float32 with vLLM")])
    load_vllm()
    base = outline(spec.base, dtype=spec.dtype)
    engine = VllmEngine(base, spec.engine)
    note = EngineNote(
        name=engine.name,
        code=__version__,
        torch=str(torch.__version__),
        threads=None,
        dtype=dtype_name(base),
        device=engine.device,
    )
    return Answering(
        bank=AdapterBank(base),
        engine=engine,
        store=VllmStore(engine, base),
        note=note,
        context_tokens=engine.sizes.context_tokens,
        warnings=(UNSTEADY,),
    )
