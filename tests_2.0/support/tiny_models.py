"""Model folders with random weights: small, real architectures with a byte-level tokenizer."""

from importlib import import_module
from pathlib import Path

import orjson
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor -%}
<|im_start|>assistant
"""

_COMMON = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "vocab_size": 256 + len(SPECIAL),
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "eos_token_id": 2,
}
FAMILIES = {
    "qwen3": {},
    "llama": {},
    "gemma3_text": {
        "num_hidden_layers": 4,
        "sliding_window": 24,
        "sliding_window_pattern": 2,
        "query_pre_attn_scalar": 16,
        "rope_global_base_freq": 10000.0,
        "rope_local_base_freq": 10000.0,
    },
    "qwen3_moe": {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "moe_intermediate_size": 64,
        "norm_topk_prob": True,
    },
    "gpt_oss": {
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 24,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "lfm2": {
        "num_hidden_layers": 3,
        "norm_eps": 1e-5,
        "conv_bias": False,
        "conv_L_cache": 3,
        "block_dim": 64,
        "block_multiple_of": 32,
        "block_ffn_dim_multiplier": 1.0,
        "block_auto_adjust_ff_dim": False,
        "layer_types": ["conv", "full_attention", "conv"],
    },
    "mamba2": {
        "num_heads": 8,
        "head_dim": 16,
        "state_size": 16,
        "conv_kernel": 4,
        "n_groups": 1,
        "time_step_limit": [0.0, 100.0],
        "expand": 2,
        "layer_norm_epsilon": 1e-5,
        "use_bias": False,
        "use_conv_bias": True,
        "time_step_rank": 4,
    },
}
VARIANTS = {
    "llama-wide": {"model_type": "llama", "head_dim": 32},
    "qwen3-long": {"model_type": "qwen3", "max_position_embeddings": 2048},
}


def build(folder: Path, family: str, *, seed: int = 7, template: str | None = TEMPLATE) -> Path:
    """Write a whole model folder: configuration, weights, tokenizer, chat template."""
    folder.mkdir(parents=True)
    config = {**_COMMON, "model_type": family, **(FAMILIES | VARIANTS)[family]}
    (folder / "config.json").write_bytes(orjson.dumps(config))
    (folder / "tokenizer_config.json").write_bytes(orjson.dumps({"eos_token": SPECIAL[2]}))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    tokenizer().save(str(folder / "tokenizer.json"))
    _weights(folder, config, seed)
    return folder


def tokenizer() -> Tokenizer:
    """One token a byte after the special ones: any ids decode, often to broken characters."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: i for i, text in enumerate((*SPECIAL, *alphabet))}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    return made


def _weights(folder: Path, config: dict, seed: int) -> None:
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_map

    module = import_module(f"mlx_lm.models.{config['model_type']}")
    mx.random.seed(seed)
    model = module.Model(module.ModelArgs.from_dict(config))
    # Larger than the usual first weights, so that greedy text wanders instead of repeating.
    model.update(tree_map(lambda w: w * 4 if w.ndim > 1 else w, model.parameters()))
    mx.save_safetensors(
        str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"}
    )
