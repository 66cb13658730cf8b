"""Conversion by mlx_lm in a process of its own, and new indexes that invent nothing."""

import json
import signal
import subprocess
import sys
import time

import damages
import hub_cache as build
import pytest

from mlxk.cli import models as commands
from mlxk.cli import storage
from mlxk.contract.errors import (
    AlreadyExists,
    EngineFailed,
    InvalidValue,
    ModelUnhealthy,
    RuntimeIncompatible,
    UnsafePath,
)
from mlxk.engine import named
from mlxk.engine.convert import PACKINGS, Recipe, settled

WIDE = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 32, "vocab_size": 64}


def convert(source, folder, **options):
    events = storage.convert(source, folder, **options)
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


@pytest.fixture
def mlx():
    pytest.importorskip("mlx.core", exc_type=ImportError)


@pytest.mark.parametrize(
    ("options", "bits", "group_size"),
    [
        ({"bits": 8, "group_size": 32}, 8, 32),
        ({"mode": "mxfp4"}, 4, 32),
        ({"dtype": "float32"}, None, None),
    ],
    ids=["8 bits in small groups", "mxfp4", "another dtype"],
)
def test_a_converted_model_is_healthy_and_of_that_precision(
    mlx, hub_cache, tmp_path, options, bits, group_size
):
    hub_cache.add("org/m", build.model(**WIDE))
    value = convert("org/m", tmp_path / "out", **options)
    assert (value.bits, value.group_size, value.health) == (bits, group_size, "healthy")
    shown = commands.show(str(tmp_path / "out"))
    assert (shown.model.framework, shown.model.origin) == ("MLX", "org/m")
    assert shown.model.runtime_compatible


def test_a_packed_model_is_unpacked_and_not_packed_twice(mlx, hub_cache, tmp_path):
    hub_cache.add("org/m", build.model(**WIDE))
    convert("org/m", tmp_path / "packed", bits=4)
    with pytest.raises(InvalidValue, match="already"):
        convert(str(tmp_path / "packed"), tmp_path / "twice", bits=8)
    value = convert(str(tmp_path / "packed"), tmp_path / "unpacked", bits=16)
    assert (value.bits, value.health) == (None, "healthy")


def test_what_mlx_lm_refuses_is_an_error_and_leaves_nothing(mlx, hub_cache, tmp_path):
    # Healthy to the eye: only the architecture itself knows that a tensor is missing.
    config = {"model_type": "gemma", "hidden_size": 16}
    hub_cache.add("org/m", {**build.model(), "config.json": build.dumps(config)})
    with pytest.raises(EngineFailed, match="mlx_lm"):
        convert("org/m", tmp_path / "out", bits=4)
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_an_interrupted_conversion_leaves_nothing_and_nobody(mlx, hub_cache, tmp_path):
    hub_cache.add("org/m", build.model(**WIDE))
    argv = [sys.executable, "-m", "mlxk", "convert", "org/m", str(tmp_path / "out"), "--json"]
    with subprocess.Popen([*argv, "--bits", "4"], stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob(".out.*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, json.loads(out)["error"]["type"]) == (130, "interrupted")
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(bits=7),
        Recipe(bits=4, group_size=5),
        Recipe(bits=8, mode="mxfp4"),
        Recipe(bits=16, mode="mxfp8"),
        Recipe(group_size=64),
        Recipe(dtype="int8"),
    ],
    ids=["bits", "group", "bits of a mode", "unpacked mode", "a group of nothing", "dtype"],
)
def test_what_mlx_cannot_pack_is_said_before_anything_is_read(recipe):
    with pytest.raises(InvalidValue):
        settled(recipe)


@pytest.mark.parametrize("mode", PACKINGS)
def test_every_mode_has_a_default(mode):
    recipe = settled(Recipe(mode=mode, bits=PACKINGS[mode][0][0]))
    assert recipe.group_size in PACKINGS[mode][1]


def test_a_broken_model_is_not_converted(hub_cache, tmp_path):
    damages.KINDS["a truncated shard"](hub_cache.add("org/m"))
    with pytest.raises(ModelUnhealthy):
        convert("org/m", tmp_path / "out", bits=4)


def test_an_unknown_architecture_is_not_converted(hub_cache, tmp_path):
    config = build.dumps({**build.CONFIG, "model_type": "zzz"})
    hub_cache.add("org/m", {**build.model(), "config.json": config})
    with pytest.raises(RuntimeIncompatible):
        convert("org/m", tmp_path / "out", bits=4)


def test_a_path_that_mlx_cannot_open_is_refused_in_words(hub_cache, tmp_path):
    folder = tmp_path / "caf\udce9"
    hub_cache.add("org/m")
    with pytest.raises(UnsafePath, match="not UTF-8"):
        convert("org/m", folder, bits=4)
    folder.mkdir()
    for name, data in build.model().items():
        (folder / name).write_bytes(data)
    with pytest.raises(UnsafePath, match="not UTF-8"):
        convert(str(folder), tmp_path / "out", bits=4)
    with pytest.raises(UnsafePath, match="not UTF-8"):
        named.engine(str(folder))


def test_a_folder_that_exists_is_not_written_into(hub_cache, tmp_path):
    hub_cache.add("org/m")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(AlreadyExists):
        convert("org/m", tmp_path / "out", bits=4)


@pytest.mark.parametrize(
    "damage",
    ["an index of odd shape beside whole shards", "an index that is cut beside whole shards"],
)
def test_an_index_is_repaired_in_a_copy(hub_cache, tmp_path, damage):
    folder = hub_cache.add("org/m")
    damages.KINDS[damage](folder)
    before = (folder / damages.INDEX).read_bytes()
    value = convert("org/m", tmp_path / "out", repair_index=True)
    index = json.loads((tmp_path / "out" / damages.INDEX).read_bytes())
    assert index["weight_map"] == json.loads(build.sharded()[damages.INDEX])["weight_map"]
    assert (value.health, (folder / damages.INDEX).read_bytes()) == ("healthy", before)
    assert commands.health(str(tmp_path / "out")).healthy[0].warnings == ()


@pytest.mark.parametrize(
    "damage",
    [
        "a missing shard",
        "a missing shard without an index",
        "a shard that lacks a tensor",
        "a broken shard",
        "no weights",
    ],
)
def test_an_index_never_invents_tensors(hub_cache, tmp_path, damage):
    damages.KINDS[damage](hub_cache.add("org/m"))
    with pytest.raises(ModelUnhealthy, match="no index can be made"):
        convert("org/m", tmp_path / "out", repair_index=True)
    assert not (tmp_path / "out").exists()
