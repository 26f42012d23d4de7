"""Tiny bases with random weights and a byte tokenizer, made and never downloaded: one of each family."""

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    GptOssConfig,
    LlamaConfig,
    MixtralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3MoeConfig,
    SwitchTransformersConfig,
    SwitchTransformersForConditionalGeneration,
    ViTConfig,
    ViTForImageClassification,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")


def byte_tokenizer(template: str | None = CHATML) -> PreTrainedTokenizerFast:
    """A token a byte, and three control tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={byte: i for i, byte in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.chat_template = template
    return fast


def _common(tokens: PreTrainedTokenizerFast) -> dict[str, int]:
    return {
        "vocab_size": len(tokens),
        "eos_token_id": tokens.eos_token_id,
        "pad_token_id": tokens.pad_token_id,
        "bos_token_id": tokens.eos_token_id,
    }


def config_of(family: str, tokens: PreTrainedTokenizerFast, mlp_width: int = 48) -> PreTrainedConfig:
    """A config of a few thousand parameters."""
    common = _common(tokens)
    llama = {
        "hidden_size": 32,
        "intermediate_size": mlp_width,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
    }
    makers = {
        "llama": lambda: LlamaConfig(**llama, **common),
        "qwen2": lambda: Qwen2Config(**llama, tie_word_embeddings=False, **common),
        "gemma3": lambda: Gemma3TextConfig(**llama, head_dim=8, sliding_window=16, **common),
        "gpt2": lambda: GPT2Config(n_embd=32, n_layer=3, n_head=4, n_positions=512, **common),
        "neox": lambda: GPTNeoXConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=512,
            **common,
        ),
        "mixtral": lambda: MixtralConfig(**llama, num_local_experts=4, num_experts_per_tok=2, **common),
        "qwen3_moe": lambda: Qwen3MoeConfig(
            **llama, head_dim=8, moe_intermediate_size=24, num_experts=4, num_experts_per_tok=2, **common
        ),
        "gpt_oss": lambda: GptOssConfig(
            **llama,
            head_dim=8,
            sliding_window=16,
            num_local_experts=4,
            num_experts_per_tok=2,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            **common,
        ),
    }
    return makers[family]()


FAMILIES = ("llama", "qwen2", "gemma3", "gpt2", "neox")
WITH_EXPERTS = ("mixtral", "qwen3_moe", "gpt_oss")
"""Their experts are fused; stored as (experts, out, in), and in gpt_oss as (experts, in, out), with biases."""


def make_base(
    folder: Path, family: str = "llama", *, template: str | None = CHATML, seed: int = 0, mlp_width: int = 48
) -> Path:
    """Save a tiny base of `family` into `folder`, and return the folder."""
    tokens = byte_tokenizer(template)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config_of(family, tokens, mlp_width), dtype=torch.float64)
    _enliven(model, seed)
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def make_other(kind: str, *, seed: int = 0) -> PreTrainedModel:
    """A tiny model that is no causal language model, in memory and in float64."""
    sizes = {"d_model": 32, "vocab_size": 64, "pad_token_id": 0, "decoder_start_token_id": 1}
    makers = {
        "vit": lambda: ViTForImageClassification(
            ViTConfig(
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=3,
                num_attention_heads=4,
                image_size=16,
                patch_size=4,
                num_labels=5,
            )
        ),
        "whisper": lambda: WhisperForConditionalGeneration(
            WhisperConfig(
                **sizes,
                encoder_layers=2,
                decoder_layers=2,
                encoder_attention_heads=4,
                decoder_attention_heads=4,
                encoder_ffn_dim=48,
                decoder_ffn_dim=48,
                num_mel_bins=8,
                max_source_positions=20,
                max_target_positions=32,
                bos_token_id=1,
                eos_token_id=2,
                begin_suppress_tokens=None,
            )
        ),
        "switch": lambda: SwitchTransformersForConditionalGeneration(
            SwitchTransformersConfig(
                **sizes,
                d_ff=48,
                d_kv=8,
                num_heads=4,
                num_layers=2,
                num_decoder_layers=2,
                num_sparse_encoder_layers=1,
                num_sparse_decoder_layers=1,
                num_experts=4,
            )
        ),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = makers[kind]().double()
    _enliven(model, seed)
    return model


def _enliven(model: PreTrainedModel, seed: int) -> None:
    """Livelier than the usual start, so that a wrong layer shows in the logits."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim in (2, 3) and "conv" not in name:
                parameter.mul_(4)
            if name.endswith("bias"):
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(seed))
