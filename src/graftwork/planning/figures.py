"""The numbers of a config, and the places of the base that it describes: for bases that are not on disk. Pure.

The places are those that `transformers` would make of the same config, with its names, so that an adapter is counted by
the same `shapes` as on a base that is there.

Parameters of a layer of a llama: q, k, v, out; gate, up, down of its MLP or of each expert, a router; two norms.
Latent attention (DeepSeek) has its queries and its keys and values come through a narrow layer each.

Source: model files of transformers 5 (models/llama, qwen2, mixtral, deepseek_v3, gpt2), https://github.com/huggingface/transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graftwork.base.facts import AttentionPlace, BaseFacts, BlockPlace, EmbeddingPlace, ExpertsPlace, LinearPlace


@dataclass(frozen=True, kw_only=True, slots=True)
class Latent:
    """Widths of attention whose keys and values come through a narrow layer.

    Attributes:
        query, key_value: of the narrow layers.
        rope: of the part of a head that carries the position; plain and value: of the others.
    """

    query: int
    key_value: int
    rope: int
    plain: int
    value: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Heads:
    """The heads of a base's attention.

    Attributes:
        queries, keys: how many heads of each; fewer of keys when they are shared.
        dim: numbers of one.
    """

    queries: int
    keys: int
    dim: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What a config says of a decoder.

    Attributes:
        inner: width of the MLP, of the layers that have no experts.
        tied: whether the head is the table of embeddings.
        gated: whether the MLP has a gate.
        query_biases: whether q, k and v have biases; all_biases: whether every layer and norm has.
        positions: rows of a table of learned positions; 0 without one.
        num_experts: 0 without experts; of these `active_experts` answer for a token, each `expert_inner` wide.
        shared_experts: that answer for every token; dense_layers: layers at the bottom that have no experts.
        source: where the numbers stand.
    """

    hidden: int
    layers: int
    heads: int
    key_heads: int
    inner: int
    vocab: int
    context_tokens: int
    source: str
    head_dim: int = 0
    tied: bool = False
    gated: bool = True
    query_biases: bool = False
    all_biases: bool = False
    positions: int = 0
    num_experts: int = 0
    active_experts: int = 0
    expert_inner: int = 0
    shared_experts: int = 0
    dense_layers: int = 0
    latent: Latent | None = None

    @property
    def width(self) -> int:
        """Numbers of one head."""
        return self.head_dim or self.hidden // self.heads

    def has_experts(self, layer: int) -> bool:
        """Whether the layer has experts instead of one MLP."""
        return self.num_experts > 0 and layer >= self.dense_layers


def facts_of_figures(figures: Figures) -> BaseFacts:
    """Facts about the base that these numbers describe."""
    places = tuple(_places(figures))
    experts = tuple(_experts(figures))
    attentions = tuple(
        AttentionPlace(
            name=f"{_layer(n)}.self_attn",
            role="attention",
            key_heads=figures.key_heads,
            head_dim=figures.width,
            layer=n,
        )
        for n in range(0 if figures.latent else figures.layers)
    )
    return BaseFacts(
        architecture="from figures",
        num_layers=figures.layers,
        hidden_size=figures.hidden,
        vocab_size=figures.vocab,
        context_tokens=figures.context_tokens,
        num_params=num_params(figures),
        places=places,
        blocks=tuple(_blocks(figures)),
        attentions=attentions,
        embeddings=(
            EmbeddingPlace(name="model.embed_tokens", role="embedding", rows=figures.vocab, features=figures.hidden),
        ),
        experts=experts,
        fused=tuple(place.name for place in experts),
        num_active_experts=figures.active_experts or 1,
        is_causal=True,
    )


def num_params(figures: Figures) -> int:
    """All parameters, tied ones once."""
    linear = sum(p.in_features * p.out_features for p in _places(figures) if p.role != "head")
    experts = sum(p.num_experts * p.in_features * p.out_features for p in _experts(figures))
    outer = figures.vocab * figures.hidden * (1 if figures.tied else 2) + figures.positions * figures.hidden
    return linear + experts + outer + _small(figures)


def _small(figures: Figures) -> int:
    """Norms, biases and routers."""
    hidden, layers = figures.hidden, figures.layers
    total = hidden * (2 * layers + 1)  # norms
    if figures.all_biases:
        total *= 2
        total += layers * sum(p.out_features for p in _places(figures) if p.layer == 0)
    if figures.query_biases:
        total += layers * (figures.heads + 2 * figures.key_heads) * figures.width
    if figures.num_experts:
        with_experts = layers - figures.dense_layers
        total += with_experts * figures.num_experts * hidden
    if latent := figures.latent:
        total += layers * (latent.query + latent.key_value)  # their norms
    return total


def _layer(number: int) -> str:
    return f"model.layers.{number}"


def _places(figures: Figures) -> Iterator[LinearPlace]:
    for number in range(figures.layers):
        for name, role, wide_in, wide_out in (*_attention(figures), *_mlp(figures, number)):
            yield LinearPlace(
                name=f"{_layer(number)}.{name}", role=role, in_features=wide_in, out_features=wide_out, layer=number
            )
    yield LinearPlace(name="lm_head", role="head", in_features=figures.hidden, out_features=figures.vocab, layer=None)


Row = tuple[str, str, int, int]


def _attention(figures: Figures) -> tuple[Row, ...]:
    hidden, width, heads = figures.hidden, figures.width, figures.heads
    at = "self_attn"
    if latent := figures.latent:
        head = latent.plain + latent.rope
        return (
            (f"{at}.q_a_proj", "attention.q", hidden, latent.query),
            (f"{at}.q_b_proj", "attention.q", latent.query, heads * head),
            (f"{at}.kv_a_proj_with_mqa", "attention.k", hidden, latent.key_value + latent.rope),
            (f"{at}.kv_b_proj", "attention.v", latent.key_value, heads * (latent.plain + latent.value)),
            (f"{at}.o_proj", "attention.out", heads * latent.value, hidden),
        )
    return (
        (f"{at}.q_proj", "attention.q", hidden, heads * width),
        (f"{at}.k_proj", "attention.k", hidden, figures.key_heads * width),
        (f"{at}.v_proj", "attention.v", hidden, figures.key_heads * width),
        (f"{at}.o_proj", "attention.out", heads * width, hidden),
    )


def _mlp(figures: Figures, layer: int) -> tuple[Row, ...]:
    """Of the layer's MLP, or of the experts that answer for every token."""
    inner, at = figures.inner, "mlp"
    if figures.has_experts(layer):
        inner, at = figures.shared_experts * figures.expert_inner, "mlp.shared_experts"
    if not inner:
        return ()
    gate: tuple[Row, ...] = ((f"{at}.gate_proj", "mlp.gate", figures.hidden, inner),) if figures.gated else ()
    up: Row = (f"{at}.up_proj", "mlp.up", figures.hidden, inner)
    return (*gate, up, (f"{at}.down_proj", "mlp.down", inner, figures.hidden))


def _experts(figures: Figures) -> Iterator[ExpertsPlace]:
    for number in range(figures.layers):
        if not figures.has_experts(number):
            continue
        module, inner = f"{_layer(number)}.mlp.experts", figures.expert_inner
        shapes = (("gate_up_proj", "experts.gate_up", figures.hidden, 2 * inner),
                  ("down_proj", "experts.down", inner, figures.hidden))  # fmt: skip
        for parameter, role, wide_in, wide_out in shapes:
            yield ExpertsPlace(
                name=f"{module}.{parameter}",
                role=role,
                module=module,
                parameter=parameter,
                num_experts=figures.num_experts,
                in_features=wide_in,
                out_features=wide_out,
                transposed=False,
                layer=number,
            )


def _blocks(figures: Figures) -> Iterator[BlockPlace]:
    for number in range(figures.layers):
        for role, name in (("attention", f"{_layer(number)}.self_attn"), ("mlp", f"{_layer(number)}.mlp")):
            yield BlockPlace(name=name, role=role, entry=name, exit=name, features=figures.hidden, layer=number)
