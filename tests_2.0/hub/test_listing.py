"""What is on this machine: one broken model never hides another."""

import damages
import hub_cache as build
import pytest

from mlxk.cli import models as commands
from mlxk.cli import storage
from mlxk.contract.errors import ModelNotFound, ModelUnhealthy
from mlxk.hub import inspect, listing
from mlxk.hub.describe import describe
from mlxk.hub.reading import read


def cached(value):
    return {m.name: m for m in value.models if m.source == "cache"}


def test_an_empty_machine_lists_no_cached_model(home):
    assert cached(commands.list_models()) == {}


def test_a_model_is_described_completely(hub_cache):
    hub_cache.add("mlx-community/Tiny-4bit")
    model = cached(commands.list_models())["mlx-community/Tiny-4bit"]
    assert (model.hash, model.framework, model.model_type) == (build.MAIN, "MLX", "chat")
    assert (model.health, model.reason, model.runtime_compatible) == ("healthy", None, True)
    assert model.size_bytes == sum(map(len, build.model().values()))
    assert model.last_modified.endswith("Z")


def test_every_kind_of_damage_stands_beside_the_whole_ones(hub_cache):
    for number, kind in enumerate(damages.KINDS):
        damages.KINDS[kind](hub_cache.add(f"org/m{number:03}"))
    found = cached(commands.list_models())
    assert list(found) == [f"org/m{n:03}" for n in range(len(damages.KINDS))]
    states = {k: found[f"org/m{n:03}"].health for n, k in enumerate(damages.KINDS)}
    assert {k for k, v in states.items() if v == "healthy"} == set(damages.WHOLE)


def test_list_show_and_health_agree_on_every_kind(hub_cache):
    for number, kind in enumerate(damages.KINDS):
        damages.KINDS[kind](hub_cache.add(f"org/m{number:03}"))
    listed = {m.name: m.health for m in cached(commands.list_models()).values()}
    checked = commands.health("org/")
    assert listed == {i.name: i.status for i in (*checked.healthy, *checked.unhealthy)}
    assert listed == {name: commands.show(name).model.health for name in listed}


def _no_snapshots(cache):
    (cache.folder("org/x") / "refs").mkdir(parents=True)


def _ref_to_nowhere(cache):
    cache.ref("org/x", "main", build.MAIN)


def _ref_of_garbage(cache):
    cache.add("org/x")
    cache.ref("org/x", "main", "../../../etc")


def _two_without_main(cache):
    cache.add("org/x", commit=build.MAIN, ref=None)
    cache.add("org/x", commit=build.OTHER, ref=None)


def _snapshot_is_a_file(cache):
    cache.ref("org/x", "main", build.MAIN)
    (cache.folder("org/x") / "snapshots").mkdir()
    (cache.folder("org/x") / "snapshots" / build.MAIN).write_text("")


@pytest.mark.parametrize(
    "damage",
    [_no_snapshots, _ref_to_nowhere, _ref_of_garbage, _two_without_main, _snapshot_is_a_file],
    ids=lambda f: f.__name__.strip("_").replace("_", " "),
)
def test_a_broken_cache_entry_is_a_model_too(hub_cache, damage):
    damage(hub_cache)
    hub_cache.add("org/y")
    found = cached(commands.list_models())
    assert (found["org/x"].health, found["org/y"].health) == ("unhealthy", "healthy")
    assert found["org/x"].reason.startswith(("refs/main: ", "snapshots"))


def test_a_newer_pull_request_does_not_replace_a_complete_main(hub_cache):
    hub_cache.add("org/m")
    hub_cache.add("org/m", {"config.json": b"{"}, commit=build.OTHER, ref="refs/pr/1")
    assert cached(commands.list_models())["org/m"].health == "healthy"


def test_revisions_are_rows_of_their_own(hub_cache):
    hub_cache.add("org/m")
    hub_cache.add("org/m", commit=build.OTHER, ref="v1")
    value = commands.list_models(revisions=True)
    assert [m.hash for m in value.models if m.name == "org/m"] == [build.MAIN, build.OTHER]


def test_names_that_are_not_utf8_can_be_listed(hub_cache):
    folder = hub_cache.add("org/m")
    (folder / "caf\udce9.txt").write_bytes(b"")
    (hub_cache.root / "models--caf\udce9").mkdir()
    assert [m.name for m in commands.list_models().models if m.cached] == ["caf�", "org/m"]


def test_files_that_repositories_share_are_inside_the_cache(hub_cache):
    folder = hub_cache.add("org/m")
    blob = (folder / "model.safetensors").resolve()
    stored = hub_cache.root / "blobs" / "ab" / ("ab" * 32)
    stored.parent.mkdir(parents=True)
    blob.rename(stored)
    blob.symlink_to(f"../../blobs/ab/{stored.name}")
    assert commands.health("org/m").summary.healthy_count == 1
    storage.remove(["org/m"], force=True)
    assert cached(commands.list_models()) == {}


def test_other_things_in_the_cache_are_no_models(hub_cache):
    hub_cache.add("org/m")
    (hub_cache.root / "datasets--org--d").mkdir()
    (hub_cache.root / ".locks" / "models--org--m").mkdir(parents=True)
    (hub_cache.root / "models--org--file").write_text("")
    (hub_cache.root / "version.txt").write_text("1")
    assert list(cached(commands.list_models())) == ["org/m"]


@pytest.mark.parametrize(
    ("pattern", "count"), [("qwen", 2), ("*-4bit", 1), ("org/Qwen-8B", 1), ("nothing", 0), ("a", 1)]
)
def test_a_pattern_is_a_part_of_the_name_or_a_glob(hub_cache, pattern, count):
    for name in ("org/Qwen-4bit", "org/Qwen-8B", "mla/Llama"):
        hub_cache.add(name)
    found = listing.matching(tuple(listing.cached(hub_cache.root)), pattern)
    assert len(found) == count


def test_health_of_an_unknown_name_is_an_error(hub_cache):
    with pytest.raises(ModelNotFound):
        commands.health("nothing")


def test_strict_health_is_a_gate_that_shows_everything(hub_cache):
    hub_cache.add("org/good")
    damages.KINDS["no config"](hub_cache.add("org/bad"))
    with pytest.raises(ModelUnhealthy) as caught:
        commands.health("org/", strict=True)
    assert caught.value.exit_code == 3
    assert [i.name for i in caught.value.data.unhealthy] == ["org/bad"]
    assert commands.health("good", strict=True).summary.total == 1


ZIP = b"PK\x03\x04" + bytes(40) + b"PK\x05\x06" + bytes(18)
BERT = build.dumps({"model_type": "bert", "architectures": ["BertModel"]})
NEW = build.dumps({**build.CONFIG, "model_type": "zzz"})
WHISPER = build.dumps({"model_type": "whisper"})
SEEING = build.dumps({**build.CONFIG, "model_type": "qwen2_vl", "vision_config": {}})
ODD = {"x": (2,)}
PT = build.safetensors(ODD, format="pt")
NO_TEMPLATE = {**build.model(), "tokenizer_config.json": b"{}"}
SPM = {**build.model(), "tokenizer.model": build.sentencepiece(["<unk>", "a"])}
del SPM["tokenizer.json"]


@pytest.mark.parametrize(
    ("name", "files", "expected"),
    [
        ("org/x-gguf", {"x.gguf": build.gguf()}, ("GGUF", "base", True, False)),
        ("org/x", {**build.tokenizer(), "config.json": BERT, "pytorch_model.bin": ZIP},
         ("PyTorch", "embedding", True, False)),
        ("org/x", {**build.tokenizer(), "config.json": BERT, "model.safetensors": PT},
         ("PyTorch", "embedding", True, False)),
        ("org/whisper", {"config.json": WHISPER, "weights.npz": ZIP},
         ("MLX", "unknown", True, False)),
        ("org/x-VL", {**build.model(), "config.json": SEEING}, ("MLX", "chat", True, True)),
        ("org/x", NO_TEMPLATE, ("MLX", "base", True, True)),
        ("org/x", SPM, ("MLX", "chat", True, True)),
        ("org/x", {"README.md": b""}, ("Unknown", "unknown", False, False)),
        ("org/x", {**build.model(), "config.json": NEW}, ("MLX", "chat", True, False)),
    ],
    ids=["gguf", "pytorch", "embedding", "whisper", "vision", "base", "spm", "nothing", "too new"],
)  # fmt: skip
def test_kinds_of_models_are_told_apart(hub_cache, name, files, expected):
    hub_cache.add(name, files)
    model = cached(commands.list_models())[name]
    healthy = model.health == "healthy"
    assert (model.framework, model.model_type, healthy, model.runtime_compatible) == expected
    assert (model.reason is None) == (healthy and model.runtime_compatible)


def test_show_lists_files_and_the_configuration(hub_cache):
    hub_cache.add("org/m")
    value = commands.show("org/m", files=True, config=True)
    assert value.config == build.CONFIG
    types = {f.name: f.type for f in value.files}
    assert types["model.safetensors"] == "weights"
    assert next(f for f in value.files if f.name == "tokenizer.json").sha256
    assert commands.show("org/m").files is None


def test_metadata_comes_from_the_text_part_when_there_is_one(hub_cache):
    config = {"model_type": "gemma3", "text_config": build.CONFIG, "quantization": {"bits": 4}}
    folder = hub_cache.add("org/m", {"config.json": build.dumps(config)})
    found = inspect.metadata(read(folder))
    assert (found.hidden_size, found.head_dim, found.context_length) == (16, 8, 128)
    assert (found.quantization.bits, found.quantization.mode) == (4, "affine")


def test_a_listing_looks_only_at_the_ends_of_a_large_tokenizer(hub_cache):
    padded = build.dumps({**build.fast_tokenizer(), "pad": "x" * (1 << 20)})
    folder = hub_cache.add("org/m", {**build.model(), "tokenizer.json": padded})
    place = next(listing.cached(hub_cache.root))
    assert describe(place).model.health == "healthy"
    build.replace(folder / "tokenizer.json", padded[:-5])
    assert describe(place).model.health == "unhealthy"
