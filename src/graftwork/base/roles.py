"""What a layer is for, read from its name: one vocabulary over the families of `transformers`.

Roles are dotted: `attention.q`, `attention.k`, `attention.v`, `attention.qkv` (fused), `attention.out`, `mlp.gate`,
`mlp.up`, `mlp.gate_up` (fused), `mlp.down`, `experts.*`, `router`, `head`, `other`.
"""

import re

ROLE_OF_LEAF = {
    "q_proj": "attention.q", "query": "attention.q", "q": "attention.q", "q_lin": "attention.q",
    "k_proj": "attention.k", "key": "attention.k", "k": "attention.k", "k_lin": "attention.k",
    "v_proj": "attention.v", "value": "attention.v", "v": "attention.v", "v_lin": "attention.v",
    "q_a_proj": "attention.q", "q_b_proj": "attention.q",
    "kv_a_proj_with_mqa": "attention.k", "kv_b_proj": "attention.v",
    "qkv_proj": "attention.qkv", "query_key_value": "attention.qkv", "c_attn": "attention.qkv",
    "Wqkv": "attention.qkv", "qkv": "attention.qkv", "W_pack": "attention.qkv",
    "o_proj": "attention.out", "out_proj": "attention.out", "out_lin": "attention.out",
    "gate_proj": "mlp.gate", "up_proj": "mlp.up", "down_proj": "mlp.down", "gate_up_proj": "mlp.gate_up",
    "fc1": "mlp.up", "fc2": "mlp.down", "c_fc": "mlp.up", "lin1": "mlp.up", "lin2": "mlp.down",
    "dense_h_to_4h": "mlp.up", "dense_4h_to_h": "mlp.down", "fc_in": "mlp.up", "fc_out": "mlp.down",
    "w1": "mlp.gate", "w2": "mlp.down", "w3": "mlp.up", "wi_0": "mlp.gate", "wi_1": "mlp.up", "wi": "mlp.up",
    "lm_head": "head", "embed_out": "head", "score": "head", "classifier": "head",
    "router": "router",
}  # fmt: skip
"""Leaf names that mean one thing wherever they stand."""

ROLE_IN_CONTEXT = (
    (r"(^|\.)(self_)?(attn|attention)\.(c_proj|dense|projection)$|attention\.output\.dense$", "attention.out"),
    (r"Attention\.o$", "attention.out"),
    (r"mlp\.c_proj$|output\.dense$|(DenseReluDense|mlp|expert_\d+)\.wo$", "mlp.down"),
    (r"intermediate\.dense$", "mlp.up"),
    (r"(mlp|block_sparse_moe|feed_forward)\.gate$", "router"),
)
"""Leaf names that mean different things in different parents, by pattern over the whole name."""

ALIASES = {
    "attention": ("attention.",),
    "attention.qkv": ("attention.q", "attention.k", "attention.v", "attention.qkv"),
    "attention.kv": ("attention.k", "attention.v", "attention.qkv"),
    "mlp": ("mlp.",),
    "experts": ("experts.",),
    "all": ("attention.", "mlp.", "experts."),
}
"""What a request may ask for, beside the roles themselves. An entry that ends in a dot means all below it."""


def role_of(name: str) -> str:
    """The role of the linear layer called `name`; `other` when the name says nothing we know.

    >>> role_of("model.layers.3.self_attn.q_proj"), role_of("transformer.h.0.mlp.c_proj")
    ('attention.q', 'mlp.down')
    """
    role = next((role for pattern, role in ROLE_IN_CONTEXT if re.search(pattern, name)), None)
    role = role or ROLE_OF_LEAF.get(name.rpartition(".")[2], "other")
    if ".experts." in f".{name}." and role.startswith(("mlp.", "other")):
        return role.replace("mlp.", "experts.").replace("other", "experts.other")
    return role


def has_role(role: str, wanted: str) -> bool:
    """Whether a layer of `role` is meant by `wanted`, a role or one of ALIASES.

    >>> has_role("attention.k", "attention.qkv"), has_role("head", "all"), has_role("mlp.up", "mlp.up")
    (True, False, True)
    """
    accepted = ALIASES.get(wanted, (wanted,))
    return any(role.startswith(a) if a.endswith(".") else role == a for a in accepted)
