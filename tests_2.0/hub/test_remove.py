"""Deleting: exactly what was named, nothing outside the cache, whole or not at all."""

import fcntl
import os
import pty
import subprocess
import sys
from contextlib import suppress

import hub_cache as build
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlxk.cli import models as commands
from mlxk.cli import storage
from mlxk.contract.errors import (
    ConfirmationRequired,
    LocksPresent,
    MlxkError,
    ModelNotFound,
    PermissionDenied,
    RevisionNotFound,
    UnsafePath,
)
from mlxk.hub import cache, locks, remove


def rm(*specs):
    return storage.remove(list(specs), force=True)


def test_a_model_is_gone_with_its_bytes_and_its_locks(hub_cache):
    hub_cache.add("org/m")
    hub_cache.add("org/other")
    lock = hub_cache.root / ".locks" / "models--org--m" / "x.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    value = rm("org/m")
    assert value.freed_bytes >= sum(map(len, build.model().values()))
    assert value.removed[0].hash == build.MAIN
    assert value.lock_files_cleaned == 2
    assert hub_cache.names() == [".locks", "models--org--other"]


@pytest.mark.parametrize("spec", ["model", "org/mod", "ORG/MODEL", "org", "Model"])
def test_anything_but_the_whole_name_deletes_nothing(hub_cache, spec):
    hub_cache.add("org/model")
    with pytest.raises(ModelNotFound) as caught:
        rm(spec)
    assert "org/model" in caught.value.hint
    assert hub_cache.names() == ["models--org--model"]


PATHS = ["..", ".", "../..", "/", "/tmp", "org/..", "models--org--m/..", "~", "./models--org--m"]


@pytest.mark.parametrize("spec", [*PATHS, "", "-", "org//m"])
def test_a_path_deletes_nothing(hub_cache, spec):
    hub_cache.add("org/m")
    with pytest.raises((UnsafePath, ModelNotFound)):
        rm(spec)
    assert hub_cache.names() == ["models--org--m"]


def test_without_force_and_without_a_terminal_nothing_happens(hub_cache):
    hub_cache.add("org/m")
    with pytest.raises(ConfirmationRequired):
        storage.remove(["org/m"])
    assert hub_cache.names() == ["models--org--m"]


def test_a_glob_needs_force(hub_cache):
    for name in ("org/a1", "org/a2", "org/b"):
        hub_cache.add(name)
    with pytest.raises(ConfirmationRequired) as caught:
        storage.remove(["org/a*"])
    assert caught.value.details["matches"] == ["org/a1", "org/a2"]
    assert [m.name for m in rm("org/a*").removed] == ["org/a1", "org/a2"]
    assert [m.name for m in commands.list_models("org/").models] == ["org/b"]


def test_one_unknown_name_saves_all(hub_cache):
    hub_cache.add("org/m")
    with pytest.raises(ModelNotFound):
        rm("org/m", "org/nothing")
    assert hub_cache.names() == ["models--org--m"]


@pytest.fixture
def two_revisions(hub_cache):
    hub_cache.add("org/m", {**build.model(), "old.txt": b"old"})
    hub_cache.add("org/m", {**build.model(), "new.txt": b"new"}, commit=build.OTHER, ref="v2")
    return hub_cache


@pytest.mark.parametrize("revision", ["v2", build.OTHER, "bbbb"])
def test_a_revision_takes_only_what_nobody_else_uses(two_revisions, revision):
    value = rm(f"org/m@{revision}")
    assert (value.freed_bytes, value.removed[0].hash) == (3, build.OTHER)
    repo = cache.repo(two_revisions.root, "org/m")
    assert (cache.snapshots(repo), cache.refs(repo)) == ((build.MAIN,), {"main": build.MAIN})
    assert commands.health("org/m").summary.healthy_count == 1


def test_the_last_revision_takes_the_model(two_revisions):
    rm("org/m@v2")
    rm("org/m@main")
    assert two_revisions.names() == [".locks"]


def test_an_unknown_revision_deletes_nothing(two_revisions):
    with pytest.raises(RevisionNotFound):
        rm("org/m@v3")
    assert len(cache.snapshots(cache.repo(two_revisions.root, "org/m"))) == 2


@pytest.mark.parametrize("part", ["", "blobs", "snapshots", "refs", f"snapshots/{build.OTHER}"])
def test_a_link_is_not_followed(two_revisions, tmp_path, part):
    place = two_revisions.folder("org/m") / part
    outside = tmp_path / "outside"
    place.rename(outside)
    place.symlink_to(outside)
    before = sorted(outside.rglob("*"))
    with pytest.raises(UnsafePath):
        rm("org/m@v2" if part.startswith("snapshots/") else "org/m")
    assert sorted(outside.rglob("*")) == before


def test_what_links_point_at_outside_stays(hub_cache, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("x")
    folder = hub_cache.add("org/m")
    (folder / "extra").symlink_to(precious)
    (folder / "folder").symlink_to(tmp_path)
    rm("org/m")
    assert precious.read_text() == "x"


def test_a_live_lock_refuses_and_a_stale_one_does_not(hub_cache):
    hub_cache.add("org/m")
    path = hub_cache.root / ".locks" / "models--org--m" / "abc.lock"
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(LocksPresent):
            rm("org/m")
    assert rm("org/m").action == "removed"


def test_a_model_that_somebody_reads_stays(hub_cache):
    folder = hub_cache.add("org/m")
    with locks.reading(folder), locks.reading(folder), pytest.raises(LocksPresent):
        rm("org/m")
    rm("org/m")


def test_who_begins_to_read_while_the_user_is_asked_keeps_the_model(hub_cache):
    folder = hub_cache.add("org/m")
    chosen = remove.targets(["org/m"], globs=False)
    with locks.reading(folder), pytest.raises(LocksPresent):
        remove.remove(chosen)
    assert folder.is_dir()


def test_reading_a_folder_outside_the_cache_locks_nothing(hub_cache, tmp_path):
    with locks.reading(tmp_path):
        assert hub_cache.names() == []


def test_a_broken_model_can_be_deleted(hub_cache):
    (hub_cache.folder("org/m") / "refs").mkdir(parents=True)
    (hub_cache.root / "models--a--b--c").mkdir()
    rm("org/m", "a/b/c")
    assert hub_cache.names() == [".locks"]


def test_a_failed_removal_leaves_the_model_and_says_what_is_gone(hub_cache, monkeypatch):
    hub_cache.add("org/a")
    hub_cache.add("org/b")
    discard = remove._discard

    def fail(things, repo):
        if repo.name == "org/b":
            raise PermissionDenied("no")
        return discard(things, repo)

    monkeypatch.setattr(remove, "_discard", fail)
    with pytest.raises(PermissionDenied) as caught:
        rm("org/a", "org/b")
    assert [m.name for m in caught.value.data.removed] == ["org/a"]
    assert commands.health("org/b").summary.healthy_count == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_may_not_be_written_keeps_its_models(hub_cache):
    hub_cache.add("org/m")
    hub_cache.root.chmod(0o555)
    with pytest.raises(PermissionDenied):
        rm("org/m")
    hub_cache.root.chmod(0o755)
    assert commands.health("org/m").summary.healthy_count == 1


def test_bytes_that_another_name_keeps_are_not_counted_as_freed(hub_cache, tmp_path):
    folder = hub_cache.add("org/m")
    os.link((folder / "model.safetensors").resolve(), tmp_path / "kept")
    assert rm("org/m").freed_bytes < len(build.model()["model.safetensors"])


NAMES = ["org/m", "org/m-2", "org/model", "other/m", "m", "a/b/c"]
SPECS = st.one_of(
    st.sampled_from(NAMES),
    st.text("orgm/-*?[].@~ \0abc2", max_size=12),
    st.builds("{}@{}".format, st.sampled_from(NAMES), st.text("ab./*", max_size=6)),
)


@settings(max_examples=60, deadline=None)
@given(spec=SPECS, force=st.booleans())
def test_whatever_is_typed_only_whole_names_and_forced_globs_delete(tmp_path_factory, spec, force):
    from fnmatch import fnmatchcase

    root = tmp_path_factory.mktemp("rm")
    (root / "outside").touch()
    hub = build.HubCache(root / "hub")
    for name in NAMES:
        hub.add(name, {"config.json": b"{}"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_CACHE", str(hub.root))
        with suppress(MlxkError):
            remove.remove(remove.targets([spec], globs=force))
    gone = {n for n in NAMES if not hub.folder(n).exists()}
    glob = {n for n in NAMES if force and fnmatchcase(n, spec)}
    assert gone <= {spec, spec.partition("@")[0]} | glob
    assert (root / "outside").exists()


@pytest.mark.parametrize(("answer", "gone"), [(b"y\n", True), (b"n\n", False)], ids=["yes", "no"])
def test_on_a_terminal_the_user_is_asked(hub_cache, answer, gone):
    hub_cache.add("org/m")
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "mlxk", "rm", "org/m"]
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.write(ours, answer)
        assert child.wait(timeout=30) == 0
    os.close(theirs)
    os.close(ours)
    assert hub_cache.folder("org/m").exists() is not gone
