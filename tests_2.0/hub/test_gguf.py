"""GGUF files: what they say, and whether all of them is there."""

import hub_cache as build
import pytest

from mlxk.cli import models as commands
from mlxk.hub import gguf

WHOLE = build.gguf(**{"tokenizer.chat_template": "{{ messages }}", "llama.block_count": 7})


def read(tmp_path, data, **options):
    (tmp_path / "x.gguf").write_bytes(data)
    return gguf.read(str(tmp_path / "x.gguf"), **options)


def test_a_whole_file_tells_about_its_model(hub_cache):
    hub_cache.add("org/m", {"m.gguf": WHOLE})
    shown = commands.show("org/m")
    assert (shown.model.health, shown.model.model_type) == ("healthy", "chat")
    assert (shown.metadata.architecture, shown.metadata.context_length) == ("llama", 128)
    assert shown.metadata.num_layers == 7


@pytest.mark.parametrize("kept", [-1, -33, 200, 60, 30, 23, 10, 4, 3, 0])
def test_a_cut_file_is_unhealthy(tmp_path, kept):
    assert read(tmp_path, WHOLE[:kept]).problem


@pytest.mark.parametrize(
    "data",
    [b"<html>", b"version https://git-lfs.github.com/spec/v1", b"GGML" + WHOLE[4:]],
    ids=["a web page", "an LFS pointer", "an older format"],
)
def test_another_file_under_this_name_is_said_to_be(tmp_path, data):
    assert read(tmp_path, data).problem


@pytest.mark.parametrize(("kind", "size"), [(0, 4), (1, 2), (30, 2)], ids=["f32", "f16", "bf16"])
def test_sizes_are_those_of_the_type(tmp_path, kind, size):
    data = build.gguf(kind=kind, size=size)
    assert read(tmp_path, data).problem is None
    assert read(tmp_path, data[:-1]).problem


def test_a_missing_part_of_several_is_noticed(hub_cache):
    hub_cache.add("org/m", {"m-00001-of-00002.gguf": WHOLE})
    reason = commands.health("org/m").unhealthy[0].reason
    assert reason == "m-00002-of-00002.gguf: missing"


def test_a_listing_does_not_read_a_whole_vocabulary(tmp_path, monkeypatch):
    monkeypatch.setattr(gguf, "_FEW", 3)
    assert read(tmp_path, WHOLE[:200], thorough=False).problem is None


def test_mlx_agrees(tmp_path):
    mx = pytest.importorskip("mlx.core", exc_type=ImportError)
    path = tmp_path / "x.gguf"
    mx.save_gguf(str(path), {"a": mx.zeros((8, 32))}, {"general.architecture": "llama"})
    assert gguf.read(str(path)).fields["general.architecture"] == "llama"
    assert read(tmp_path, path.read_bytes()[:-1]).problem
    with pytest.raises(RuntimeError):
        mx.load(str(path))
