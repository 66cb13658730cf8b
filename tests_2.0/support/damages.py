"""Kinds of models, whole and broken, each as a change to a snapshot of a small whole model."""

import json
import os
import struct

import hub_cache as build

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (b"0" * 64)
PAGE = b"<!DOCTYPE html><html><body>Sign in to your network</body></html>"
NOWHERE = "../../blobs/" + "0" * 64


def _write(name, data):
    return lambda folder: build.replace(folder / name, data)


def _cut(name, count):
    def change(folder):
        data = (folder / name).read_bytes()
        build.replace(folder / name, data[:count])

    return change


def _remove(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def _link(name, target):
    def change(folder):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return change


def _escape(name):
    """A link to a whole file outside the repository."""

    def change(folder):
        outside = folder.parents[3] / f"outside-{name}"
        outside.write_bytes((folder / name).read_bytes())
        _link(name, os.path.relpath(outside, folder))(folder)

    return change


def _json(name, change):
    return lambda folder: build.edit_json(folder / name, change)


def _header(change, tail=b""):
    """Rewrite the header of the weights, keep the data."""

    def apply(folder):
        data = (folder / WEIGHTS).read_bytes()
        end = 8 + struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:end])
        change(header)
        build.replace(folder / WEIGHTS, build.header_bytes(header) + data[end:] + tail)

    return apply


def _files(files):
    """Another model altogether."""

    def change(folder):
        for path in folder.iterdir():
            path.unlink()
        for name, data in files.items():
            build.replace(folder / name, data)

    return change


def _then(*changes):
    return lambda folder: [change(folder) for change in changes]


def _point_index(folder, name):
    build.edit_json(
        folder / INDEX, lambda v: {**v, "weight_map": dict.fromkeys(v["weight_map"], name)}
    )


NORM = "model.norm.weight"
TENSORS = build.shapes(build.CONFIG)
VOCAB_MERGES = {
    "vocab.json": build.dumps(build.fast_tokenizer()["model"]["vocab"]),
    "merges.txt": "\n".join(["#version: 0.2", *build.MERGES]).encode(),
    "tokenizer_config.json": build.dumps({"tokenizer_class": "Qwen2Tokenizer"}),
}
WITHOUT_TOKENIZER = {k: v for k, v in build.model().items() if not k.startswith("tokenizer")}
SHARDED = build.sharded()
FAST = build.dumps({"tokenizer_class": "PreTrainedTokenizerFast"})
WORDS = {
    "vocab.txt": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb",
    "tokenizer_config.json": build.dumps({"tokenizer_class": "BertTokenizer"}),
}
PIECES = build.sentencepiece(["<unk>", "<s>", "</s>", "\u2581", *"abc"])
UNINDEXED = build.sharded(index=False)

# What mlx-lm's own loader refuses.
BROKEN = {
    "a truncated shard": _cut(WEIGHTS, 2000),
    "a cut header": _cut(WEIGHTS, 100),
    "half a header length": _cut(WEIGHTS, 4),
    "weights one byte short": _cut(WEIGHTS, -1),
    "empty weights": _write(WEIGHTS, b""),
    "a web page as weights": _write(WEIGHTS, PAGE),
    "an LFS pointer as weights": _write(WEIGHTS, POINTER),
    "a header of random bytes": _write(WEIGHTS, struct.pack("<Q", 64) + os.urandom(64)),
    "a header that is a list": _write(WEIGHTS, struct.pack("<Q", 2) + b"[]"),
    "a header that promises too much": _write(WEIGHTS, struct.pack("<Q", 1 << 62) + b"{}"),
    "an unknown dtype": _header(lambda h: h[NORM].update(dtype="XX")),
    "a shape that does not fit its bytes": _header(lambda h: h[NORM].update(shape=[3])),
    "offsets past the end": _header(
        lambda h: h[NORM].update(data_offsets=[1 << 40, (1 << 40) + 32])
    ),
    "a missing tensor in the only file": _header(lambda h: h.pop(NORM)),
    "a tensor too few": _write(
        WEIGHTS, build.safetensors({k: v for k, v in TENSORS.items() if k != NORM})
    ),
    "a tensor too many": _write(WEIGHTS, build.safetensors({**TENSORS, "x": (2,)})),
    "no weights": _remove(WEIGHTS),
    "weights under another name": lambda f: (f / WEIGHTS).rename(f / "weights.safetensors"),
    "a dangling link to weights": _link(WEIGHTS, NOWHERE),
    "a second, empty model file": _write("model-extra.safetensors", b""),
    "a missing shard": _then(_files(SHARDED), _remove(SECOND)),
    "a missing shard without an index": _then(_files(UNINDEXED), _remove(FIRST)),
    "a broken shard": _then(_files(SHARDED), _cut(SECOND, -1)),
    "an index that leaves the folder for its tensors": _then(
        _files(SHARDED), _remove(SECOND), lambda f: _point_index(f, "../../../x.safetensors")
    ),
    "a shard that lacks a tensor": _then(
        _files(SHARDED), _write(SECOND, build.safetensors({NORM: (16,)}))
    ),
    "no config": _remove("config.json"),
    "an empty config": _write("config.json", b""),
    "a config that is a list": _write("config.json", b"[]"),
    "a config that is a web page": _write("config.json", PAGE),
    "a config that is cut": _cut("config.json", 50),
    "a config that is not UTF-8": _write("config.json", b'{"model_type": "qwen3", "x": "\xff"}'),
    "a config with a byte order mark": _write(
        "config.json", b"\xef\xbb\xbf" + build.model()["config.json"]
    ),
    "a config without a model type": _json("config.json", lambda c: c.pop("model_type") and None),
    "a config with a model type that is a number": _json(
        "config.json", lambda c: c.update(model_type=3)
    ),
    "a dangling config": _link("config.json", NOWHERE),
    "a config of more layers": _json("config.json", lambda c: c.update(num_hidden_layers=3)),
    "a config of fewer layers": _json("config.json", lambda c: c.update(num_hidden_layers=1)),
    "a config of another width": _json("config.json", lambda c: c.update(hidden_size=32)),
    "a config without a width": _json("config.json", lambda c: c.pop("hidden_size") and None),
    "an untied head that is not there": _json(
        "config.json", lambda c: c.update(tie_word_embeddings=False)
    ),
    "no tokenizer": _remove("tokenizer.json"),
    "a tokenizer that is cut": _cut("tokenizer.json", -3),
    "an empty tokenizer": _write("tokenizer.json", b""),
    "a tokenizer that is an empty object": _write("tokenizer.json", b"{}"),
    "a tokenizer that is a list": _write("tokenizer.json", b"[]"),
    "a tokenizer that is a web page": _write("tokenizer.json", PAGE),
    "a tokenizer that is an LFS pointer": _write("tokenizer.json", POINTER),
    "a tokenizer that is not UTF-8": _write("tokenizer.json", b'{"model": "\xff"}'),
    "a tokenizer without merges": _json(
        "tokenizer.json", lambda t: t["model"].pop("merges") and None
    ),
    "a tokenizer without a vocabulary": _json(
        "tokenizer.json", lambda t: t["model"].pop("vocab") and None
    ),
    "a tokenizer of unknown type": _json("tokenizer.json", lambda t: t["model"].update(type="XX")),
    "a tokenizer with odd merges": _json(
        "tokenizer.json", lambda t: t["model"].update(merges=["a"])
    ),
    "a tokenizer with odd added tokens": _json(
        "tokenizer.json", lambda t: t.update(added_tokens={})
    ),
    "a dangling tokenizer": _link("tokenizer.json", NOWHERE),
    "a tokenizer config that is cut": _cut("tokenizer_config.json", 20),
    "a tokenizer config that is a list": _write("tokenizer_config.json", b"[]"),
    "special tokens that are cut": _write("special_tokens_map.json", b"{"),
    "added tokens that are cut": _write("added_tokens.json", b"{"),
    "a chat template that is not UTF-8": _write("chat_template.jinja", b"\xff\xfe{{ x }}"),
    "a generation config that is a list": _write("generation_config.json", b"[]"),
    "a generation config that is not UTF-8": _write("generation_config.json", b"\xff"),
    "a vocabulary without merges": _then(
        _files({**WITHOUT_TOKENIZER, **VOCAB_MERGES}), _remove("merges.txt")
    ),
    "a vocabulary that is cut": _then(
        _files({**WITHOUT_TOKENIZER, **VOCAB_MERGES}), _cut("vocab.json", 20)
    ),
    "a web page as a sentencepiece model": _files({**WITHOUT_TOKENIZER, "tokenizer.model": PAGE}),
    "a cut sentencepiece model": _files({**WITHOUT_TOKENIZER, "tokenizer.model": PIECES[:-2]}),
    "random bytes as a sentencepiece model": _files(
        {**WITHOUT_TOKENIZER, "tokenizer.model": b"\x0agarbage" * 9}
    ),
    "a web page as a list of words": _files({**WITHOUT_TOKENIZER, **WORDS, "vocab.txt": PAGE}),
    "a class that needs a file that is not there": _files(
        {**WITHOUT_TOKENIZER, **VOCAB_MERGES, "tokenizer_config.json": FAST}
    ),
}

for name, change in {
    "a tokenizer class that is a number": {"tokenizer_class": 3},
    "a quantization without a group size": {"quantization": {"bits": 4}},
    "an empty quantization": {"quantization": {}},
    "a quantization of a kind that is not said": {"quantization_config": 3},
    "a text configuration that is a number": {"text_config": 3},
    "architectures that are a number": {"architectures": 3},
    "an end token that is a word": {"eos_token_id": "x"},
    "a width that is a fraction": {"hidden_size": 16.0},
    "a number that is a text": {"vocab_size": "32"},
    "a norm without an epsilon": {"rms_norm_eps": None},
    "an epsilon that is a text": {"rms_norm_eps": "x"},
    "rope without a base": {"rope_theta": None},
    "heads that are null": {"num_key_value_heads": None},
    "ties that are null": {"tie_word_embeddings": None},
    "ties that are a word": {"tie_word_embeddings": "no"},
}.items():
    file = "tokenizer_config.json" if "tokenizer_class" in change else "config.json"
    BROKEN[name] = _json(file, lambda value, change=change: {**value, **change})

for name, model in {
    "unigrams that are a map": {"type": "Unigram", "vocab": {"a": 1}},
    "a vocabulary that is a list": {"type": "BPE", "vocab": ["a"], "merges": []},
    "words without an unknown one": {"type": "WordLevel", "vocab": {"a": 0}},
    "a merge of unknown tokens": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]},
}.items():
    BROKEN[name] = _json("tokenizer.json", lambda t, model=model: {**t, "model": model})

for name, change in {
    "a decoder of unknown type": {"decoder": {"type": "Nope"}},
    "a decoder that is a number": {"decoder": 3},
    "an added token without a text": {"added_tokens": [{"id": 3}]},
}.items():
    BROKEN[name] = _json("tokenizer.json", lambda t, change=change: {**t, **change})

# What mlx-lm's own loader takes.
WHOLE = {
    "a whole model": lambda folder: None,
    "shards with an index": _files(SHARDED),
    "shards without an index": _files(UNINDEXED),
    "an index of odd shape beside whole shards": _then(_files(SHARDED), _write(INDEX, b"[]")),
    "an index that is cut beside whole shards": _then(_files(SHARDED), _cut(INDEX, 30)),
    "a stale index beside one whole file": _write(INDEX, SHARDED[INDEX]),
    "weights that transformers saved": _write(WEIGHTS, build.safetensors(TENSORS, format="pt")),
    "weights without metadata": _write(WEIGHTS, build.safetensors(TENSORS, format=None)),
    "vocabulary and merges": _files({**WITHOUT_TOKENIZER, **VOCAB_MERGES}),
    "a list of words": _files({**WITHOUT_TOKENIZER, **WORDS}),
    "a sentencepiece model": _files(
        {
            **WITHOUT_TOKENIZER,
            "tokenizer.model": PIECES,
            "tokenizer_config.json": build.dumps({"tokenizer_class": "LlamaTokenizer"}),
        }
    ),
    "words of a level": _json(
        "tokenizer.json",
        lambda t: {
            **t,
            "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
        },
    ),
    "a broken sentencepiece model beside a whole tokenizer": _write("tokenizer.model", b"garbage"),
    "a packed configuration of unpacked weights": _json(
        "config.json", lambda c: c.update(quantization={"bits": 4, "group_size": 64})
    ),
    "no tokenizer config": _remove("tokenizer_config.json"),
    "a config with NaN": _json("config.json", lambda c: c.update(extra=float("nan"))),
    "a config with an enormous number": _json("config.json", lambda c: c.update(extra=10**30)),
    "a broken generation config": _write("generation_config.json", b"{"),
    "a broken chat template": _write("chat_template.jinja", b"{% if"),
    "a dangling readme": _link("README.md", NOWHERE),
    "empty adapters beside the model": _write("adapters.safetensors", b""),
}

# Where the contract is stricter than the loader: a file that nobody published like this.
STRICTER = {
    "weights one byte too long": _then(
        lambda f: build.replace(f / WEIGHTS, (f / WEIGHTS).read_bytes() + b"\0")
    ),
    "weights that are a link out of the cache": _escape(WEIGHTS),
    "a config that is a link out of the cache": _escape("config.json"),
    "an index that leaves the folder beside whole shards": _then(
        _files(SHARDED), lambda f: _point_index(f, "/etc/passwd")
    ),
    "an empty sentencepiece model": _files({**WITHOUT_TOKENIZER, "tokenizer.model": b""}),
    "empty merges": _files({**WITHOUT_TOKENIZER, **VOCAB_MERGES, "merges.txt": b""}),
    "a dangling tokenizer config": _link("tokenizer_config.json", NOWHERE),
    "tensors that overlap": _header(lambda h: h[NORM].update(data_offsets=[0, 32])),
}

KINDS = {**BROKEN, **WHOLE, **STRICTER}
