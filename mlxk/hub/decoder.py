"""What mlx-lm's plain decoders (Llama, Qwen2, Qwen3) need: config fields, tensors, shapes.

Most models in circulation are of these families. For others only what files say is checked.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from mlxk.hub import runtime
from mlxk.hub.inspect import architectures
from mlxk.hub.reading import CONFIG, Document
from mlxk.hub.safetensors import Shape
from mlxk.hub.text import count_of, text_of

Family = Literal["llama", "qwen2", "qwen3"]

_COUNTS = (
    "hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads", "vocab_size",
)  # fmt: skip
_MORE: dict[Family, tuple[str, ...]] = {
    "llama": (),
    "qwen2": ("num_key_value_heads",),
    "qwen3": ("num_key_value_heads", "head_dim", "max_position_embeddings"),
}
_MOST_LAYERS = 10_000
_PARTS = (".scales", ".biases", ".global_scale")


def problems(config: Document, shapes: Mapping[str, Shape]) -> Iterator[str]:
    """The first missing field, or tensors that mlx-lm would miss, refuse, or find misshapen."""
    family = _family(config)
    if family is None:
        return
    if found := _field_problem(config, family):
        yield f"{CONFIG}: {found}"
        return
    if _number(config, "num_hidden_layers") > _MOST_LAYERS:
        yield f"{CONFIG}: num_hidden_layers is not a number of layers"
        return
    expected = _expected(config, family)
    if missing := sorted(expected.keys() - shapes.keys()):
        yield f"{CONFIG}: asks for {len(missing)} tensors that no file has, {missing[0]} first"
    unknown = shapes.keys() - expected.keys()
    if extra := sorted(name for name in unknown if not _is_extra(name, shapes, config)):
        yield f"{CONFIG}: has no place for {len(extra)} tensors, {extra[0]} first"
    different = [n for n, shape in expected.items() if n in shapes and shapes[n] != shape]
    for name in different:
        if not _is_packed(shapes, name, expected[name]):
            asked, found = ("x".join(map(str, s)) for s in (expected[name], shapes[name]))
            yield f"{CONFIG}: asks for {name} of {asked}, the file has {found}"
            return


def _field_problem(config: Document, family: Family) -> str | None:
    for name in (*_COUNTS, *_MORE[family]):
        if not count_of(config.get(name)):
            return f"{name} is missing or not a number"
    if not isinstance(config.get("rms_norm_eps"), float | int):
        return "rms_norm_eps is missing or not a number"
    if not isinstance(config.get("tie_word_embeddings"), bool | None):
        return "tie_word_embeddings is neither true nor false"
    if family == "qwen3":
        rope = config.get("rope_parameters")
        nested = rope.get("rope_theta") if isinstance(rope, dict) else None
        if "tie_word_embeddings" not in config:
            return "tie_word_embeddings is missing"
        if config.get("rope_theta") is None and nested is None:
            return "rope_theta is missing"
    return None


def _family(config: Document) -> Family | None:
    """None for another architecture, and for weights that mlx-lm repacks while loading."""
    if "quantization" not in config and "quantization_config" in config:
        return None
    model_type = text_of(config.get("model_type"))
    if model_type is None or "model_file" in config:
        return None
    match runtime.module(model_type, architectures(config)):
        case "llama" | "qwen2" | "qwen3" as family:
            return family
    return None


def _expected(config: Document, family: Family) -> dict[str, Shape]:
    hidden, vocabulary = _number(config, "hidden_size"), _number(config, "vocab_size")
    layer = _layer(config, family)
    found: dict[str, Shape] = {"model.embed_tokens.weight": [vocabulary, hidden]}
    for n in range(_number(config, "num_hidden_layers")):
        prefix = f"model.layers.{n}."
        found.update({prefix + name: shape for name, shape in layer.items()})
    found["model.norm.weight"] = [hidden]
    if not config.get("tie_word_embeddings", True):
        found["lm_head.weight"] = [vocabulary, hidden]
    return found


def _layer(config: Document, family: Family) -> dict[str, Shape]:
    hidden, inner = _number(config, "hidden_size"), _number(config, "intermediate_size")
    heads = _number(config, "num_attention_heads")
    dim = hidden // heads if family == "qwen2" else _number(config, "head_dim") or hidden // heads
    query, key = heads * dim, (_number(config, "num_key_value_heads") or heads) * dim
    found: dict[str, Shape] = {
        "input_layernorm.weight": [hidden],
        "post_attention_layernorm.weight": [hidden],
        "self_attn.q_proj.weight": [query, hidden],
        "self_attn.k_proj.weight": [key, hidden],
        "self_attn.v_proj.weight": [key, hidden],
        "self_attn.o_proj.weight": [hidden, query],
        "mlp.gate_proj.weight": [inner, hidden],
        "mlp.up_proj.weight": [inner, hidden],
        "mlp.down_proj.weight": [hidden, inner],
    }
    if family == "qwen3":
        found |= {"self_attn.q_norm.weight": [dim], "self_attn.k_norm.weight": [dim]}
    biased = ["q", "k", "v"] if family == "qwen2" else []
    if family == "llama" and config.get("attention_bias") is True:
        biased = ["q", "k", "v", "o"]
    for letter in biased:
        name = f"self_attn.{letter}_proj"
        found[f"{name}.bias"] = found[f"{name}.weight"][:1]
    if family == "llama" and config.get("mlp_bias") is True:
        for part in ("gate", "up", "down"):
            found[f"mlp.{part}_proj.bias"] = found[f"mlp.{part}_proj.weight"][:1]
    return found


def _is_packed(shapes: Mapping[str, Shape], name: str, shape: Shape) -> bool:
    """A quantized weight keeps its rows; what a row holds depends on the bits."""
    is_quantized = f"{name.removesuffix('.weight')}.scales" in shapes
    return is_quantized and shapes[name][:1] == shape[:1]


def _is_extra(name: str, shapes: Mapping[str, Shape], config: Document) -> bool:
    """Tensors besides the expected that mlx-lm uses or drops."""
    for part in _PARTS:
        if name.endswith(part):
            return "quantization" in config and name.removesuffix(part) + ".weight" in shapes
    return name == "lm_head.weight" or "self_attn.rotary_emb.inv_freq" in name


def _number(config: Document, name: str) -> int:
    return count_of(config.get(name)) or 0
