"""What a model is: framework, kind, capabilities, dimensions. Knows only files and a name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlxk.hub import runtime
from mlxk.hub.model import Framework, Kind
from mlxk.hub.reading import TOKENIZER_CONFIG, Document, Reading
from mlxk.hub.text import count_of, text_of

_EMBEDDERS = frozenset(
    (
        "bert",
        "nomic-bert",
        "roberta",
        "xlm-roberta",
        "distilbert",
        "mpnet",
        "modernbert",
        "nomic_bert",
        "albert",
    )
) | frozenset(("deberta-v2", "electra", "camembert", "jina_bert_v2", "gte", "new"))
_LISTENERS = frozenset(("whisper", "wav2vec2", "parakeet", "voxtral", "speecht5", "kokoro"))
_GGUF = (
    ("max_position_embeddings", "context_length"),
    ("hidden_size", "embedding_length"),
    ("intermediate_size", "feed_forward_length"),
    ("num_hidden_layers", "block_count"),
    ("num_attention_heads", "attention.head_count"),
    ("num_key_value_heads", "attention.head_count_kv"),
    ("head_dim", "attention.key_length"),
    ("vocab_size", "vocab_size"),
    ("num_experts", "expert_count"),
)
_POOLING = ("modules.json", "1_Pooling/config.json", "config_sentence_transformers.json")
_CHAT_NAME = re.compile(r"(^|[-_./])(instruct|chat|it|assistant)($|[-_./0-9])", re.IGNORECASE)
_EMBEDDING_NAME = re.compile(r"(^|[-_./])(embed\w*|bge|gte|e5|minilm)($|[-_./0-9])", re.IGNORECASE)
_MLX_CARD = re.compile(rb"^(library_name:\s*mlx\b|\s*-\s*mlx\s*$|tags:.*\bmlx\b)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Facts:
    framework: Framework
    kind: Kind
    capabilities: tuple[str, ...]
    architecture: str | None


@dataclass(frozen=True, slots=True)
class Quantization:
    bits: int | None
    group_size: int | None
    mode: str | None


@dataclass(frozen=True, slots=True)
class Metadata:
    """The numbers that decide memory and context; a model may name its text part separately."""

    architecture: str | None
    context_length: int | None
    hidden_size: int | None
    intermediate_size: int | None
    num_layers: int | None
    num_attention_heads: int | None
    num_key_value_heads: int | None
    head_dim: int | None
    vocab_size: int | None
    num_experts: int | None
    sliding_window: int | None
    tie_word_embeddings: bool | None
    dtype: str | None
    quantization: Quantization | None


def facts(reading: Reading, name: str) -> Facts:
    kind = _kind(reading, name)
    architecture = text_of(reading.config.get("model_type")) or _gguf_text(reading, "architecture")
    return Facts(framework(reading, name), kind, _capabilities(reading, kind), architecture)


def metadata(reading: Reading) -> Metadata:
    parts = (*_parts(reading.config), _from_gguf(reading))
    heads = _count(parts, "num_attention_heads", "n_head", "num_heads")
    hidden = _count(parts, "hidden_size", "n_embd", "d_model", "dim")
    tied = reading.config.get("tie_word_embeddings")
    return Metadata(
        architecture=text_of(parts[0].get("model_type")) or _gguf_text(reading, "architecture"),
        context_length=_context_length(reading, parts),
        hidden_size=hidden,
        intermediate_size=_count(parts, "intermediate_size", "n_inner", "ffn_dim"),
        num_layers=_count(parts, "num_hidden_layers", "n_layer", "num_layers", "n_layers"),
        num_attention_heads=heads,
        num_key_value_heads=_count(parts, "num_key_value_heads", "n_kv_heads") or heads,
        head_dim=_count(parts, "head_dim") or (hidden // heads if hidden and heads else None),
        vocab_size=_count(parts, "vocab_size"),
        num_experts=_count(parts, "num_experts", "num_local_experts", "n_routed_experts"),
        sliding_window=_count(parts, "sliding_window"),
        tie_word_embeddings=tied if isinstance(tied, bool) else None,
        dtype=next(
            (t for p in parts for k in ("torch_dtype", "dtype") if (t := text_of(p.get(k)))), None
        ),
        quantization=_quantization(reading.config),
    )


def framework(reading: Reading, name: str) -> Framework:
    """Whose loader takes these files as they are; mlx-lm reads plain safetensors of its models."""
    if reading.named(".gguf") and not reading.headers:
        return "GGUF"
    if reading.named(".npz") or _says_mlx(reading, name):
        return "MLX"
    if reading.named(".bin", ".pt", ".pth") and not reading.headers:
        return "PyTorch"
    if runs_on_mlx_lm(reading.config):
        return "MLX"
    if not reading.headers:
        return "Unknown"
    return "MLX" if _card_says_mlx(reading) else "PyTorch"


def runs_on_mlx_lm(config: Document) -> bool:
    model_type = text_of(config.get("model_type"))
    return model_type is not None and runtime.supports(model_type, architectures(config))


def architectures(config: Document) -> tuple[str, ...]:
    value = config.get("architectures")
    items = value if isinstance(value, list) else [value]
    return tuple(item for item in items if isinstance(item, str))


def _says_mlx(reading: Reading, name: str) -> bool:
    if any(header.format == "mlx" for header in reading.headers.values()):
        return True
    quantization = reading.config.get("quantization")
    packed = isinstance(quantization, dict) and "group_size" in quantization
    return packed or name.startswith("mlx-community/")


def _card_says_mlx(reading: Reading) -> bool:
    if not reading.has("README.md"):
        return False
    try:
        card = Path(reading.contents.path("README.md")).read_bytes()[:4096]
    except OSError:
        return False
    front = card.split(b"\n---", 1)[0] if card.startswith(b"---") else b""
    return _MLX_CARD.search(front) is not None


def _kind(reading: Reading, name: str) -> Kind:
    config = reading.config
    model_type = text_of(config.get("model_type")) or ""
    if model_type in _LISTENERS:
        return "unknown"
    pooled = any(reading.has(part) for part in _POOLING)
    packed = _gguf_text(reading, "architecture")
    if pooled or {model_type, packed} & _EMBEDDERS or _EMBEDDING_NAME.search(name):
        return "embedding"
    if _template(reading) is not None or _CHAT_NAME.search(name):
        return "chat"
    generates = any(a.endswith(("ForCausalLM", "LMHeadModel")) for a in architectures(config))
    return "base" if generates or packed or runs_on_mlx_lm(config) else "unknown"


def _capabilities(reading: Reading, kind: Kind) -> tuple[str, ...]:
    config = reading.config
    found: list[str] = []
    if kind in ("chat", "base"):
        found.append("text-generation")
    if kind == "chat":
        found.append("chat")
        if "tools" in (_template(reading) or ""):
            found.append("tools")
    if kind == "embedding":
        found.append("embeddings")
    if isinstance(config.get("vision_config"), dict):
        found.append("vision")
    if (
        isinstance(config.get("audio_config"), dict)
        or text_of(config.get("model_type")) in _LISTENERS
    ):
        found.append("audio")
    return tuple(found)


def _template(reading: Reading) -> str | None:
    """The chat template's text; "" when there is one that was not read."""
    if found := text_of(reading.front.fields.get("tokenizer.chat_template")):
        return found
    inline = reading.document(TOKENIZER_CONFIG).get("chat_template")
    if inline:
        return inline if isinstance(inline, str) else str(inline)
    if not reading.has("chat_template.jinja"):
        return "" if reading.has("chat_template.json") else None
    try:
        return Path(reading.contents.path("chat_template.jinja")).read_text("utf-8", "replace")
    except OSError:
        return ""


def _gguf_text(reading: Reading, name: str) -> str | None:
    return text_of(reading.front.fields.get(f"general.{name}"))


def _from_gguf(reading: Reading) -> Document:
    """What a GGUF file says, in the words of a config.json."""
    fields = reading.front.fields
    prefix = _gguf_text(reading, "architecture")
    return {name: fields[key] for name, suffix in _GGUF if (key := f"{prefix}.{suffix}") in fields}


def _parts(config: Document) -> Iterator[Document]:
    """The configuration, then the part of it that describes the language model."""
    yield config
    for name in ("text_config", "llm_config", "language_config"):
        if isinstance(part := config.get(name), dict):
            yield part


def _count(parts: tuple[Document, ...], *names: str) -> int | None:
    values = (count_of(part.get(name)) for part in parts for name in names)
    return next((value for value in values if value is not None), None)


def _context_length(reading: Reading, parts: tuple[Document, ...]) -> int | None:
    names = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "seq_length")
    if (found := _count(parts, *names)) is not None:
        return found
    limit = count_of(reading.document(TOKENIZER_CONFIG).get("model_max_length"))
    # transformers writes 10**30 for "no limit known".
    return limit if limit is not None and limit < 10**8 else None


def _quantization(config: Document) -> Quantization | None:
    value = config.get("quantization") or config.get("quantization_config")
    if not isinstance(value, dict):
        return None
    mode = text_of(value.get("mode")) or text_of(value.get("quant_method"))
    bits = count_of(value.get("bits"))
    return Quantization(
        bits, count_of(value.get("group_size")), mode or ("affine" if bits else None)
    )
