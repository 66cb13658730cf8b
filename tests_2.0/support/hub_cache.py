"""Builds Hugging Face caches exactly as huggingface_hub lays them out, and small whole models."""

import hashlib
import json
import os
import struct
from pathlib import Path

MAIN = "a" * 40
OTHER = "b" * 40

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "rms_norm_eps": 1e-06,
    "vocab_size": 32,
    "max_position_embeddings": 128,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}
LETTERS = "abcdefghijklmnop"
MERGES = ["a b", "c d"]
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


class HubCache:
    """A cache under `root`; each `add` is one revision of one repository."""

    def __init__(self, root):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def folder(self, name):
        return self.root / f"models--{name.replace('/', '--')}"

    def add(self, name, files=None, *, commit=MAIN, ref="main"):
        """Write blobs, links and the ref; returns the snapshot's folder."""
        snapshot = self.folder(name) / "snapshots" / commit
        snapshot.mkdir(parents=True, exist_ok=True)
        for path, data in (model() if files is None else files).items():
            self.put(snapshot, path, data)
        if ref is not None:
            self.ref(name, ref, commit)
        return snapshot

    def ref(self, name, ref, commit):
        path = self.folder(name) / "refs" / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(commit)

    def put(self, snapshot, path, data):
        """One file of a snapshot: a blob named by its hash, and a relative link to it."""
        blob = snapshot.parent.parent / "blobs" / blob_name(path, data)
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(data)
        link = snapshot / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
        return link

    def names(self):
        return sorted(p.name for p in self.root.iterdir())


def blob_name(path, data):
    """As the hub does it: sha256 for LFS files, git's sha1 for the others."""
    if path.endswith((".safetensors", ".gguf", ".npz", ".bin", ".model", "tokenizer.json")):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def model(**config):
    """The files of a small whole chat model that mlx-lm loads."""
    merged = {**CONFIG, **config}
    return {
        "config.json": dumps(merged),
        "model.safetensors": safetensors(shapes(merged)),
        **tokenizer(),
    }


def tokenizer():
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE}
    return {"tokenizer.json": dumps(fast_tokenizer()), "tokenizer_config.json": dumps(config)}


def sharded(count=2, *, index=True, **config):
    """The same model, its tensors dealt over `count` files."""
    files = model(**config)
    del files["model.safetensors"]
    parts = shards(count, shapes({**CONFIG, **config}))
    files |= {name: safetensors(part) for name, part in parts.items()}
    if index:
        weight_map = {tensor: name for name, part in parts.items() for tensor in part}
        files["model.safetensors.index.json"] = dumps({"metadata": {}, "weight_map": weight_map})
    return files


def shards(count, tensors):
    items = list(tensors.items())
    step = -(-len(items) // count)
    return {
        f"model-{n + 1:05}-of-{count:05}.safetensors": dict(items[n * step : (n + 1) * step])
        for n in range(count)
    }


def shapes(config):
    """The tensors of a small Qwen3, by name."""
    hidden, inner, dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    heads, kv = config["num_attention_heads"] * dim, config["num_key_value_heads"] * dim
    layer = {
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
        "self_attn.q_proj": (heads, hidden),
        "self_attn.k_proj": (kv, hidden),
        "self_attn.v_proj": (kv, hidden),
        "self_attn.o_proj": (hidden, heads),
        "self_attn.q_norm": (dim,),
        "self_attn.k_norm": (dim,),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    found = {"model.embed_tokens.weight": (config["vocab_size"], hidden)}
    for n in range(config["num_hidden_layers"]):
        found |= {f"model.layers.{n}.{name}.weight": shape for name, shape in layer.items()}
    return {**found, "model.norm.weight": (hidden,)}


def safetensors(tensors, *, format="mlx", fill=b"\0"):
    """A file with these float16 tensors, all zero."""
    header, end = {"__metadata__": {"format": format}} if format else {}, 0
    for name, shape in tensors.items():
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    return header_bytes(header) + fill * end


def header_bytes(header):
    raw = dumps(header)
    return struct.pack("<Q", len(raw)) + raw


def fast_tokenizer():
    vocab = {token: n for n, token in enumerate([*LETTERS, "ab", "cd"])}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": BYTES,
        "post_processor": None,
        "decoder": BYTES,
        "model": {"type": "BPE", "vocab": vocab, "merges": MERGES},
    }


def gguf(tensors=((2, 32),), *, kind=0, size=4, **fields):
    """A GGUF file: text and whole numbers as fields, zero tensors of one type."""
    known = {"general.architecture": "llama", "llama.context_length": 128, **fields}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(known))
    for name, value in known.items():
        is_text = isinstance(value, str)
        number = b"" if is_text else struct.pack("<I", value)
        head += _text(name) + struct.pack("<I", 8 if is_text else 4)
        head += _text(value) if is_text else number
    offset = 0
    for n, shape in enumerate(tensors):
        head += (
            _text(f"t{n}") + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        )
        head += struct.pack("<IQ", kind, offset)
        offset += shape[0] * shape[1] * size
    return head + bytes(-len(head) % 32) + bytes(offset)


def _text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def sentencepiece(pieces):
    """A sentencepiece model, field by field: pieces, then the trainer's and normalizer's notes."""
    types = {"<unk>": 2, "<s>": 3, "</s>": 3}
    out = b""
    for n, piece in enumerate(pieces):
        kind = bytes([0x18, types[piece]]) if piece in types else b""
        score = b"\x15" + struct.pack("<f", -float(n))
        out += _field(1, _field(1, piece.encode()) + score + kind)
    trainer = bytes([0x18, 2]) + bytes([0xC0, 2, 0]) + bytes([0xC8, 2, 1, 0xD0, 2, 2])
    return out + _field(2, trainer) + _field(3, _field(1, b"identity"))


def _field(number, data):
    return bytes([number << 3 | 2, len(data)]) + data


def dumps(value):
    return json.dumps(value).encode()


def edit_json(path, change):
    """Rewrite a JSON file of a snapshot in place of its link."""
    value = json.loads(path.read_bytes())
    replace(path, dumps(change(value) or value))


def replace(path, data):
    """Put bytes where a link was, without touching the blob."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def at(root):
    return HubCache(Path(root))
