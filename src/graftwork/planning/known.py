"""Bases that people ask about before they have them: the numbers of their published configs, nothing else of them.

One more base is one more entry. `source` is the page whose config.json holds the numbers, or the paper's table.
"""

from graftwork.core.catalog import Catalog
from graftwork.planning.figures import Figures, Latent

KNOWN: Catalog[Figures] = Catalog("known base")

HUB = "https://huggingface.co"


def _llama(name: str, source: str, *numbers: int, **more: object) -> None:
    """hidden, layers, heads, heads of keys, inner, vocabulary, context."""
    hidden, layers, heads, key_heads, inner, vocab, context = numbers
    KNOWN.add(
        name,
        Figures(
            hidden=hidden, layers=layers, heads=heads, key_heads=key_heads, inner=inner, vocab=vocab,
            context_tokens=context, source=f"{HUB}/{source}/blob/main/config.json", **more,  # type: ignore[arg-type]
        ),
    )  # fmt: skip


_llama("llama-2-7b", "meta-llama/Llama-2-7b-hf", 4096, 32, 32, 32, 11008, 32000, 4096)
_llama("llama-2-13b", "meta-llama/Llama-2-13b-hf", 5120, 40, 40, 40, 13824, 32000, 4096)
_llama("llama-2-70b", "meta-llama/Llama-2-70b-hf", 8192, 80, 64, 8, 28672, 32000, 4096)
_llama("llama-3-8b", "meta-llama/Meta-Llama-3-8B", 4096, 32, 32, 8, 14336, 128256, 8192)
_llama("llama-3-70b", "meta-llama/Meta-Llama-3-70B", 8192, 80, 64, 8, 28672, 128256, 8192)
_llama("mistral-7b", "mistralai/Mistral-7B-v0.1", 4096, 32, 32, 8, 14336, 32000, 32768)
_llama("qwen2.5-7b", "Qwen/Qwen2.5-7B", 3584, 28, 28, 4, 18944, 152064, 131072, query_biases=True)
_llama("qwen2.5-14b", "Qwen/Qwen2.5-14B", 5120, 48, 40, 8, 13824, 152064, 131072, query_biases=True)
_llama("qwen2.5-32b", "Qwen/Qwen2.5-32B", 5120, 64, 40, 8, 27648, 152064, 131072, query_biases=True)
_llama("qwen2.5-72b", "Qwen/Qwen2.5-72B", 8192, 80, 64, 8, 29568, 152064, 131072, query_biases=True)
_llama(
    "mixtral-8x7b", "mistralai/Mixtral-8x7B-v0.1", 4096, 32, 32, 8, 14336, 32000, 32768,
    num_experts=8, active_experts=2, expert_inner=14336,
)  # fmt: skip
_llama(
    "deepseek-v3", "deepseek-ai/DeepSeek-V3", 7168, 61, 128, 128, 18432, 129280, 163840,
    head_dim=192, num_experts=256, active_experts=8, expert_inner=2048, shared_experts=1, dense_layers=3,
    latent=Latent(query=1536, key_value=512, rope=64, plain=128, value=128),
)  # fmt: skip

KNOWN.add(
    "gpt3-175b",
    Figures(
        hidden=12288, layers=96, heads=96, key_heads=96, inner=4 * 12288, vocab=50257, context_tokens=2048,
        tied=True, gated=False, all_biases=True, positions=2048,
        source="https://arxiv.org/abs/2005.14165, table 2.1",
    ),
)  # fmt: skip
