"""An answer is remembered until a file changes, and never longer."""

import os
import time
from pathlib import Path

import hub_cache as build
import pytest

from mlxk.hub import listing, remembered
from mlxk.hub.contents import Contents
from mlxk.hub.describe import describe
from mlxk.hub.model import Place
from mlxk.hub.remembered import Known, Memory


class Judge:
    """The real judgement, and how often it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, place: Place, contents: Contents) -> Known:
        self.asked += 1
        report = describe(place, contents)
        return Known(report.model, report.verdict)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> build.HubCache:
    monkeypatch.setenv("MLXK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    cache = build.HubCache(tmp_path / "hub")
    cache.add("org/one", build.model())
    return cache


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files written this moment count as old."""
    monkeypatch.setattr(remembered, "_SETTLED_NS", 0)


def look(judge: Judge) -> Known:
    (place,) = (p for p in listing.places() if p.source == "cache")
    memory = Memory("test", judge)
    known = memory.about(place)
    memory.save()
    return known


def blob_of(cache: build.HubCache, name: str) -> Path:
    (link,) = cache.root.glob(f"models--org--one/snapshots/*/{name}")
    return link.resolve()


@pytest.mark.usefixtures("settled")
class TestRemembered:
    def test_the_same_answer_without_judging(self, cache: build.HubCache) -> None:
        judge = Judge()
        first = look(judge)
        assert first.verdict.healthy
        assert look(judge) == first
        assert judge.asked == 1

    @pytest.mark.parametrize("keep_times", [False, True])
    def test_a_changed_byte_is_seen(self, cache: build.HubCache, keep_times: bool) -> None:
        judge = Judge()
        assert look(judge).verdict.healthy
        blob = blob_of(cache, "config.json")
        before = blob.stat()
        blob.write_bytes(b"#" * before.st_size)
        if keep_times:
            os.utime(blob, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert not look(judge).verdict.healthy

    def test_a_link_elsewhere_is_seen(self, cache: build.HubCache, tmp_path: Path) -> None:
        judge = Judge()
        assert look(judge).verdict.healthy
        (link,) = cache.root.glob("models--org--one/snapshots/*/config.json")
        outside = tmp_path / "outside.json"
        outside.write_bytes(link.read_bytes())
        link.unlink()
        link.symlink_to(outside)
        assert "leaves the folder" in str(look(judge).verdict.reason)

    def test_a_file_that_went_is_seen(self, cache: build.HubCache) -> None:
        judge = Judge()
        look(judge)
        blob_of(cache, "model.safetensors").unlink()
        assert "dangling" in str(look(judge).verdict.reason)

    @pytest.mark.parametrize("damage", [b"", b"{}", b"00000000\n{}", None])
    def test_a_damaged_memory_is_none(self, cache: build.HubCache, damage: bytes | None) -> None:
        judge = Judge()
        first = look(judge)
        (file,) = (cache.root.parent / "home" / "remembered").iterdir()
        whole = file.read_bytes()
        file.write_bytes(whole.replace(b"true", b"null", 1) if damage is None else damage)
        assert look(judge) == first
        assert judge.asked == 2

    def test_another_program_judges_anew(
        self, cache: build.HubCache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        judge = Judge()
        look(judge)
        monkeypatch.setattr(remembered, "__version__", "0.0.0")
        look(judge)
        assert judge.asked == 2

    def test_what_is_gone_is_forgotten(self, cache: build.HubCache) -> None:
        judge = Judge()
        look(judge)
        (cache.root / "models--org--one").rename(cache.root / "models--org--two")
        look(judge)
        (file,) = (cache.root.parent / "home" / "remembered").iterdir()
        assert b"org--one" not in file.read_bytes()


def test_a_file_that_may_still_change_is_not_remembered(cache: build.HubCache) -> None:
    judge = Judge()
    look(judge)
    look(judge)
    assert judge.asked == 2


@pytest.mark.usefixtures("settled")
def test_a_home_that_cannot_be_written_harms_nobody(
    cache: build.HubCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MLXK_HOME", str(tmp_path / "file" / "home"))
    assert look(Judge()).verdict.healthy


def test_memory_is_of_the_past(cache: build.HubCache) -> None:
    """A clock set back leaves times in the future: those files are judged each time."""
    blob = blob_of(cache, "config.json")
    future = time.time_ns() + 3600 * 10**9
    os.utime(blob, ns=(future, future))
    judge = Judge()
    look(judge)
    look(judge)
    assert judge.asked == 2
