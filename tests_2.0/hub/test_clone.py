"""Clones: offline, editable, and never a way for an edit to reach the cache."""

import fcntl
import os
import tempfile
from pathlib import Path

import hub_cache as build
import pytest

from mlxk.cli import models as commands
from mlxk.cli import storage
from mlxk.contract.errors import AlreadyExists, DiskFull, ModelNotFound, ModelUnhealthy, UnsafePath
from mlxk.hub import checksum, provenance, workspace
from mlxk.hub import clone as hub_clone
from mlxk.hub.contents import scan


def clone(*args):
    events = storage.clone(*args)
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def contents(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != workspace.PROVENANCE
    }


def test_a_clone_has_the_same_files_as_files_of_its_own(hub_cache, tmp_path):
    files = {**build.model(), "1_Pooling/config.json": b"{}"}
    hub_cache.add("org/m", files)
    value = clone("org/m", tmp_path / "w")
    assert contents(tmp_path / "w") == files
    assert not any(p.is_symlink() for p in (tmp_path / "w").rglob("*"))
    assert (value.health, value.files, value.hash) == ("healthy", len(files), build.MAIN)
    assert value.copied_bytes == (0 if value.method != "copy" else sum(map(len, files.values())))


def test_an_edit_never_reaches_the_cache(hub_cache, tmp_path):
    hub_cache.add("org/m")
    clone("org/m", tmp_path / "w")
    for path in (tmp_path / "w").iterdir():
        assert path.stat().st_nlink == 1
        path.write_bytes(b"edited")
    assert commands.health("org/m").summary.healthy_count == 1
    assert contents(tmp_path / "w") != build.model()


@pytest.mark.live
@pytest.mark.skipif("MLXK_REFLINK" not in os.environ, reason="MLXK_REFLINK names no folder")
def test_a_file_system_that_shares_blocks_shares_them(monkeypatch):
    """`MLXK_REFLINK=/mnt/xfs pytest -m live …` on XFS, Btrfs or APFS."""
    with tempfile.TemporaryDirectory(dir=os.environ["MLXK_REFLINK"]) as name:
        monkeypatch.setenv("HF_HUB_CACHE", f"{name}/hub")
        build.HubCache(Path(name) / "hub").add("org/m", files := build.model(vocab_size=40_000))
        value = clone("org/m", Path(name) / "w")
        assert value.method in ("reflink", "clonefile")
        assert (value.copied_bytes, contents(Path(name) / "w")) == (0, files)
        (Path(name) / "w" / "model.safetensors").write_bytes(b"edited")
        assert commands.health("org/m").summary.healthy_count == 1


def test_a_model_is_never_copied_into_itself_or_the_cache(hub_cache, tmp_path):
    hub_cache.add("org/m")
    clone("org/m", tmp_path / "w")
    before = contents(tmp_path / "w")
    for source, target in (
        (str(tmp_path / "w"), tmp_path / "w" / "sub"),
        ("org/m", hub_cache.root / "models--org--other"),
    ):
        with pytest.raises(UnsafePath, match="inside"):
            clone(source, target)
    assert contents(tmp_path / "w") == before


def test_a_clone_knows_where_it_came_from(hub_cache, tmp_path):
    hub_cache.add("org/m", commit=build.OTHER, ref="v1")
    clone("org/m@v1", tmp_path / "w")
    shown = commands.show(str(tmp_path / "w"))
    assert (shown.model.origin, shown.workspace.revision) == ("org/m", build.OTHER)
    assert shown.workspace.is_clean


@pytest.mark.parametrize(
    "edit",
    [
        lambda f: (f / "config.json").write_bytes(b"{ }"),
        lambda f: (f / "new.txt").write_text(""),
        lambda f: (f / "tokenizer.json").unlink(),
        lambda f: (f / "model.safetensors").touch(),
    ],
    ids=["changed", "added", "removed", "touched"],
)
def test_a_change_is_noticed_without_reading_the_files(hub_cache, tmp_path, edit):
    hub_cache.add("org/m")
    clone("org/m", tmp_path / "w")
    edit(tmp_path / "w")
    state = commands.show(str(tmp_path / "w")).workspace
    assert not state.is_clean
    assert len(state.changed) == 1


def test_the_content_hash_covers_the_weights(hub_cache, tmp_path):
    hub_cache.add("org/a")
    weights = build.safetensors(build.shapes(build.CONFIG), fill=b"\1")
    hub_cache.add("org/b", {**build.model(), "model.safetensors": weights})
    for name in "ab":
        clone(f"org/{name}", tmp_path / name)
    clone("org/a", tmp_path / "again")
    hashes = {n: provenance.read(tmp_path / n).content_hash for n in ("a", "b", "again")}
    assert hashes["a"] == hashes["again"] != hashes["b"]


def test_the_content_hash_of_weights_comes_from_the_cache(hub_cache, tmp_path, monkeypatch):
    hub_cache.add("org/m")
    clone("org/m", tmp_path / "once")
    read, feed = [], checksum.feed
    monkeypatch.setattr(
        checksum, "feed", lambda d, path, *a: (read.append(path), feed(d, path, *a))
    )
    clone("org/m", tmp_path / "again")
    assert not any(path.endswith(".safetensors") for path in read)
    again = provenance.write(scan(tmp_path / "once"), "org/m", None)
    assert again.content_hash == provenance.read(tmp_path / "again").content_hash


def test_a_folder_with_something_in_it_is_left_alone(hub_cache, tmp_path):
    hub_cache.add("org/m")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "mine").touch()
    with pytest.raises(AlreadyExists):
        clone("org/m", tmp_path / "w")
    assert [p.name for p in tmp_path.iterdir() if p.name != "home"] == ["w"]


def test_an_empty_folder_is_filled(hub_cache, tmp_path):
    hub_cache.add("org/m")
    (tmp_path / "w").mkdir()
    assert clone("org/m", tmp_path / "w").health == "healthy"


def test_without_a_folder_it_goes_where_workspaces_live(hub_cache, home, monkeypatch):
    monkeypatch.setenv("MLXK_WORKSPACE_HOME", str(home / "w"))
    hub_cache.add("org/m")
    assert clone("org/m", None).target_dir == str(home / "w" / "m")
    listed = {m.name: m for m in commands.list_models().models}
    assert (listed["m"].source, listed["m"].origin, listed["m"].cached) == (
        "workspace",
        "org/m",
        False,
    )


def test_a_broken_model_is_not_cloned_and_nothing_is_left(hub_cache, tmp_path):
    folder = hub_cache.add("org/m")
    (folder / "model.safetensors").resolve().unlink()
    with pytest.raises(ModelUnhealthy):
        clone("org/m", tmp_path / "w")
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_a_full_disk_leaves_nothing(hub_cache, tmp_path, monkeypatch):
    hub_cache.add("org/m")
    usage = hub_clone.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(hub_clone, "_share", lambda source, target: None)
    monkeypatch.setattr(hub_clone.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(DiskFull):
        clone("org/m", tmp_path / "w")
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_what_a_killed_clone_left_goes_and_what_a_living_one_makes_stays(hub_cache, tmp_path):
    hub_cache.add("org/m")
    left, alive = tmp_path / ".w.mlxk-left", tmp_path / ".w.mlxk-alive"
    for folder in (left, alive):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
    fd = os.open(alive, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    clone("org/m", tmp_path / "w")
    os.close(fd)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".w.mlxk-alive", "home", "w"]


def test_a_model_that_is_not_cached_is_pulled_first(hub_server, hub_cache, tmp_path):
    hub_server.add("org/m")
    assert clone("org/m", tmp_path / "w").health == "healthy"


def test_a_name_that_nothing_has_is_an_error(hub_cache, tmp_path):
    with pytest.raises(ModelNotFound):
        clone("nothing", tmp_path / "w")


@pytest.mark.parametrize(
    "note", [b"", b"[]", b"{}", b'{"files": 3}', b'{"origin": 1, "files": {"x": {}}}', b"\xff"]
)
def test_a_broken_note_is_no_note(tmp_path, note):
    (tmp_path / workspace.PROVENANCE).write_bytes(note)
    assert provenance.read(tmp_path) is None
    assert provenance.state(scan(tmp_path)) is None
