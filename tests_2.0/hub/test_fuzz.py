"""Whatever the files hold: an answer that obeys its schema, never a traceback."""

import json
import struct
from contextlib import suppress

import hub_cache as build
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlxk.cli import models as commands
from mlxk.contract import encoding
from mlxk.contract.envelope import Envelope
from mlxk.contract.errors import MlxkError
from mlxk.contract.validate import problems
from mlxk.hub import gguf, index, safetensors

MODEST = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(10**400)
)
KEYS = st.text(max_size=6)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    root = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_CACHE", str(root / "hub"))
        patch.delenv("MLXK_WORKSPACE_HOME", raising=False)
        yield build.HubCache(root / "hub")


def ask(cache, files):
    """Every reading command, its answer encoded and checked as the process does it."""
    folder = cache.add("org/m", build.sharded())
    cache.add("org/whole")
    for name, data in files.items():
        build.replace(folder / name, data)
    shown = commands.show("org/m", files=True, config=True)
    answers = {
        "list": commands.list_models("org/"),
        "show": shown,
        "health": commands.health("org/"),
    }
    for command, value in answers.items():
        line = encoding.dumps(Envelope("success", command, value, None))
        assert problems(command, encoding.loads(line)) == ()
    states = {m.name: m.health for m in answers["list"].models}
    assert states["org/whole"] == "healthy"
    assert states["org/m"] == shown.model.health


@MODEST
@given(st.binary(max_size=200), st.sampled_from(sorted(build.sharded())))
def test_any_bytes_in_any_file(cache, data, name):
    ask(cache, {name: data})


@MODEST
@given(st.dictionaries(st.sampled_from([*build.CONFIG, "quantization", "text_config"]), JSON))
def test_any_values_in_the_configuration(cache, values):
    ask(cache, {"config.json": text({**build.CONFIG, **values})})


@pytest.mark.parametrize("depth", [300, 1000, 100_000])
def test_a_configuration_nested_without_end(cache, depth):
    ask(
        cache,
        {"config.json": b'{"model_type": "qwen3", "x": ' + b"[" * depth + b"]" * depth + b"}"},
    )


@MODEST
@given(JSON)
def test_any_index(cache, value):
    ask(cache, {"model.safetensors.index.json": text({"weight_map": value})})
    with suppress(MlxkError):
        index.require_whole(cache.folder("org/m") / "snapshots" / build.MAIN)


@MODEST
@given(JSON, st.sampled_from(["added_tokens", "model", "decoder"]))
def test_any_tokenizer(cache, value, key):
    ask(cache, {"tokenizer.json": text({**build.fast_tokenizer(), key: value})})


@MODEST
@given(JSON)
def test_any_tokenizer_configuration(cache, value):
    ask(cache, {"tokenizer_config.json": text({"chat_template": value, "model_max_length": value})})


@MODEST
@given(st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets"]), JSON), JSON)
def test_any_entry_in_a_header(cache, entry, metadata):
    whole = {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}
    header = text({"__metadata__": metadata, "x": {**whole, **entry}})
    ask(cache, {"model-00001-of-00002.safetensors": prefixed(header) + bytes(4)})


@MODEST
@given(st.integers(0, 2**64 - 1), st.binary(max_size=64))
def test_any_header_length(tmp_path_factory, length, data):
    path = tmp_path_factory.mktemp("x") / "x.safetensors"
    path.write_bytes(struct.pack("<Q", length) + data)
    assert safetensors.read(str(path)).problem


@MODEST
@given(st.binary(max_size=80), st.integers(0, 120))
def test_any_gguf(tmp_path_factory, data, kept):
    path = tmp_path_factory.mktemp("x") / "x.gguf"
    path.write_bytes(build.gguf()[:kept] + data)
    for thorough in (True, False):
        assert gguf.read(str(path), thorough=thorough).problem


@MODEST
@given(st.binary(max_size=60), st.sampled_from(["main", "v1", "refs/pr/1"]))
def test_any_ref(cache, data, ref):
    cache.add("org/m")
    (cache.folder("org/m") / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
    (cache.folder("org/m") / "refs" / ref).write_bytes(data)
    assert problems("list", envelope("list", commands.list_models("org/"))) == ()
    with suppress(MlxkError):
        commands.show(f"org/m@{ref}")
    cache.ref("org/m", ref, build.MAIN)


def envelope(command, value):
    return encoding.loads(encoding.dumps(Envelope("success", command, value, None)))


def text(value):
    return json.dumps(value).encode()


def prefixed(header):
    return struct.pack("<Q", len(header)) + header
