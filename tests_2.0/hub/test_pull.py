"""Downloads against a hub on localhost: resumed, verified, repaired, never half visible."""

import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import hub_cache as build
import orjson
import pytest
from hub_server import Hub

from mlxk.cli import models as commands
from mlxk.cli import storage
from mlxk.contract.errors import (
    DiskFull,
    GatedRepo,
    HubError,
    HubNotFound,
    HubUnauthorized,
    HubUnreachable,
    Locked,
    ModelNotFound,
    ModelUnhealthy,
    RevisionNotFound,
    UnsafePath,
)
from mlxk.hub import cache, locks, transfer
from mlxk.hub.names import resolve

WEIGHTS = "/cdn/"
BIG = build.model(vocab_size=32_768)


def drain(events):
    seen = []
    while True:
        try:
            seen.append(next(events))
        except StopIteration as end:
            return end.value, seen


def pull(name="org/m", **options):
    return drain(storage.pull(name, **options))[0]


def cached_names():
    return [m.name for m in commands.list_models().models if m.cached]


def test_a_model_is_downloaded_and_healthy(hub_server, hub_cache):
    hub_server.add("org/m", build.sharded())
    value, events = drain(storage.pull("org/m"))
    files = build.sharded()
    assert (value.download_status, value.hash) == ("success", build.MAIN)
    assert value.files_downloaded == len(files)
    assert value.bytes_downloaded == sum(map(len, files.values()))
    assert {e.file for e in events} - {None} == set(files)
    assert commands.health("org/m").summary.healthy_count == 1


def test_the_cache_has_the_layout_of_huggingface_hub(hub_server, hub_cache, tmp_path):
    hub_server.add("org/m")
    pull()
    expected = build.HubCache(tmp_path / "expected")
    expected.add("org/m")
    assert tree(hub_cache.folder("org/m")) == tree(expected.folder("org/m"))


def tree(folder):
    return {
        str(p.relative_to(folder)): p.readlink() if p.is_symlink() else p.is_dir() or p.read_bytes()
        for p in folder.rglob("*")
    }


def test_huggingface_hub_itself_finds_what_was_pulled(hub_server, hub_cache):
    from huggingface_hub import snapshot_download

    hub_server.add("org/m")
    pull()
    found = snapshot_download("org/m", cache_dir=hub_cache.root, local_files_only=True)
    assert found == str(resolve("org/m").folder)


def test_a_second_pull_downloads_nothing(hub_server, hub_cache):
    hub_server.add("org/m")
    pull()
    hub_server.requests.clear()
    value = pull()
    assert (value.download_status, value.bytes_downloaded) == ("already_exists", 0)
    assert hub_server.count("/resolve/|/cdn/") == 0


def test_a_whole_commit_needs_no_hub(hub_server, hub_cache):
    hub_cache.add("org/m")
    value = pull(f"org/m@{build.MAIN}")
    assert value.download_status == "already_exists"
    assert hub_server.requests == []


@pytest.mark.parametrize("revision", ["v1.0", "refs/pr/1", build.OTHER])
def test_the_revision_is_honoured(hub_server, hub_cache, revision):
    hub_server.add("org/m")
    hub_server.add("org/m", commit=build.OTHER, ref="v1.0")
    hub_server.repos["org/m"].refs["refs/pr/1"] = build.OTHER
    assert pull(f"org/m@{revision}").hash == build.OTHER
    assert resolve(f"org/m@{revision}").hash == build.OTHER
    assert "main" not in cache.refs(cache.repo(hub_cache.root, "org/m"))


def test_a_new_commit_moves_main_and_keeps_shared_files(hub_server, hub_cache):
    hub_server.add("org/m")
    pull()
    hub_server.add("org/m", {**build.model(), "README.md": b"new"}, commit=build.OTHER)
    value = pull()
    assert (value.hash, value.files_downloaded) == (build.OTHER, 1)
    assert resolve("org/m").hash == build.OTHER


def test_a_cut_connection_is_resumed_within_the_pull(hub_server, hub_cache):
    hub_server.add("org/m")
    hub_server.fail(WEIGHTS, ("cut", 1000), times=3)
    assert pull().download_status == "success"
    assert any("Range" in headers for _, _, headers in hub_server.requests)
    assert commands.health("org/m").summary.healthy_count == 1


def test_a_server_without_ranges_starts_over(hub_server, hub_cache):
    hub_server.add("org/m")
    hub_server.fail(WEIGHTS, ("cut", 1000), times=1)
    hub_server.fail(WEIGHTS, "no range", times=8)
    value = pull()
    assert value.bytes_downloaded == sum(map(len, build.model().values()))


def test_a_broken_off_pull_is_resumed_and_was_never_visible(hub_server, hub_cache, monkeypatch):
    monkeypatch.setattr(transfer, "_ATTEMPTS", 1)
    hub_server.add("org/m", BIG)
    hub_server.fail(WEIGHTS, ("cut", 300_000), times=4)
    with pytest.raises(HubUnreachable):
        pull()
    assert cached_names() == []
    hub_server.faults.clear()
    value = pull()
    assert value.download_status == "resumed"
    assert 0 < value.bytes_downloaded < sum(map(len, BIG.values()))
    assert cached_names() == ["org/m"]


@contextmanager
def halfway(hub_server, hub_cache):
    """A process that is in the middle of a slow download."""
    hub_server.add("org/m", BIG)
    hub_server.fail(WEIGHTS, ("slow", 0.02), times=4)
    argv = [sys.executable, "-m", "mlxk", "pull", "org/m", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        partial = hub_cache.folder("org/m") / cache.PARTIAL
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not any(
            p.stat().st_size > 20_000 for p in partial.glob("*")
        ):
            time.sleep(0.02)
        yield child
        child.kill()
    hub_server.faults.clear()


def test_an_interrupted_process_leaves_its_bytes_and_says_so(hub_server, hub_cache):
    with halfway(hub_server, hub_cache) as child:
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=10)
    answer = orjson.loads(out)
    assert (child.returncode, answer["error"]["type"]) == (130, "interrupted")
    assert answer["warnings"][0]["code"] == "download_kept"
    assert b"Traceback" not in err
    assert cached_names() == []
    assert pull().download_status == "resumed"


def test_a_killed_process_leaves_its_bytes_and_no_lock(hub_server, hub_cache):
    with halfway(hub_server, hub_cache) as child, pytest.raises(Locked) as caught:
        pull()
    assert caught.value.retryable
    assert child.returncode == -signal.SIGKILL
    assert cached_names() == []
    value = pull()
    assert value.download_status == "resumed"
    assert value.bytes_downloaded < sum(map(len, BIG.values()))
    assert commands.health("org/m").summary.healthy_count == 1


def test_a_disk_that_fills_in_the_middle_keeps_what_came(hub_server, hub_cache):
    hub_server.add("org/m", BIG)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000,) * 2)\n"
    code = f"{limit}import sys; sys.argv = ['mlxk', 'pull', 'org/m', '--json']\n"
    code += "from mlxk.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, orjson.loads(done.stdout)["error"]["type"]) == (1, "disk_full")
    assert not done.stderr
    assert cached_names() == []
    value = pull()
    assert value.download_status == "resumed"
    assert value.bytes_downloaded <= sum(map(len, BIG.values())) - 300_000


def test_the_token_stays_with_the_hub(hub_server, hub_cache, monkeypatch):
    """Large files lie elsewhere: another port is another host."""
    monkeypatch.setenv("HF_TOKEN", hub_server.token)
    elsewhere = Hub()
    try:
        hub_server.cdn = elsewhere.url
        hub_server.add("org/m")
        elsewhere.objects = hub_server.objects
        assert pull().download_status == "success"
    finally:
        elsewhere.close()
    assert elsewhere.requests
    assert authorizations(hub_server) == {f"Bearer {hub_server.token}"}
    assert authorizations(elsewhere) == {None}


def authorizations(hub):
    lowered = ({k.lower(): v for k, v in headers.items()} for _, _, headers in hub.requests)
    return {headers.get("authorization") for headers in lowered}


@pytest.mark.parametrize("header", [{"Retry_After": "1"}, {"RateLimit": '"api";r=0;t=1'}], ids=str)
def test_a_hub_that_is_asked_too_often_says_when_to_come_back(hub_server, hub_cache, header):
    hub_server.add("org/m")
    hub_server.fail(WEIGHTS, (429, header))
    begun = time.monotonic()
    assert pull().download_status == "success"
    assert time.monotonic() - begun >= 1


def test_a_hub_that_wants_to_be_left_alone_for_long_is_told_of_at_once(hub_server, hub_cache):
    hub_server.add("org/m")
    hub_server.fail("/api/models", (429, {"Retry_After": "3600"}), times=9)
    hub_server.fail(WEIGHTS, (429, {"Retry_After": "3600"}), times=9)
    for _ in "ab":
        with pytest.raises(HubError) as caught:
            pull()
        assert "3600 s" in caught.value.hint
        hub_server.faults = [fault for fault in hub_server.faults if fault[0].pattern == WEIGHTS]


def test_a_part_that_is_longer_than_what_the_hub_has_is_thrown_away(hub_server, hub_cache):
    hub_server.add("org/m")
    blob = build.blob_name("model.safetensors", build.model()["model.safetensors"])
    partial = hub_cache.folder("org/m") / cache.PARTIAL / blob
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x" * 100)
    hub_server.fail(WEIGHTS, 416)
    assert pull().download_status == "resumed"
    assert commands.health("org/m").summary.healthy_count == 1


def test_a_file_that_is_shorter_than_announced_is_not_asked_for_for_ever(hub_server, hub_cache):
    hub_server.add("org/m")
    blob = build.blob_name("model.safetensors", build.model()["model.safetensors"])
    hub_server.objects[blob] = b"x" * 1000
    with pytest.raises(HubError, match="not what it announces"):
        pull()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b"<html>sign in</html>"),
        lambda path: path.unlink(),
    ],
    ids=["cut", "a web page", "gone"],
)
def test_a_damaged_file_is_repaired(hub_server, hub_cache, damage):
    hub_server.add("org/m")
    pull()
    damage((resolve("org/m").folder / "model.safetensors").resolve())
    value = pull()
    assert value.download_status in ("repaired", "success")
    assert value.files_downloaded == 1
    assert commands.health("org/m").summary.healthy_count == 1


def test_damage_of_the_right_size_is_found_when_the_model_is_unhealthy(hub_server, hub_cache):
    hub_server.add("org/m")
    pull()
    path = (resolve("org/m").folder / "tokenizer.json").resolve()
    path.write_bytes(b" " * path.stat().st_size)
    assert pull().download_status == "repaired"


def test_a_cache_without_links_is_left_as_it_is(hub_server, hub_cache):
    hub_server.add("org/m")
    folder = hub_cache.add("org/m")
    for path in folder.iterdir():
        build.replace(path, path.read_bytes())
    shutil.rmtree(hub_cache.folder("org/m") / "blobs")
    assert pull().download_status == "already_exists"
    build.replace(folder / "config.json", b"{")
    assert pull().download_status == "repaired"
    assert commands.health("org/m").summary.healthy_count == 1


def test_a_missing_link_is_repaired_without_a_download(hub_server, hub_cache):
    hub_server.add("org/m")
    pull()
    (resolve("org/m").folder / "config.json").unlink()
    assert pull().bytes_downloaded == 0
    assert commands.health("org/m").summary.healthy_count == 1


def test_force_downloads_everything_again(hub_server, hub_cache):
    hub_server.add("org/m")
    pull()
    value = pull(force=True)
    assert (value.download_status, value.files_downloaded) == ("success", len(build.model()))


def test_wrong_bytes_are_never_accepted(hub_server, hub_cache):
    hub_server.add("org/m")
    hub_server.fail(WEIGHTS, ("wrong", b"evil"), times=10)
    with pytest.raises(HubError, match="not what it announces"):
        pull()
    assert cached_names() == []


def test_bytes_that_were_wrong_once_are_fetched_again(hub_server, hub_cache):
    hub_server.add("org/m")
    hub_server.fail("config.json", ("wrong", b"evil"))
    assert pull().download_status == "success"


def test_a_model_that_is_broken_on_the_hub_is_said_to_be(hub_server, hub_cache):
    hub_server.add("org/m", {**build.model(), "config.json": b"{"})
    with pytest.raises(ModelUnhealthy, match=r"config\.json") as caught:
        pull()
    assert caught.value.data.download_status == "success"


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda hub: hub.add("org/m", gated=True), GatedRepo),
        (lambda hub: None, HubNotFound),
        (lambda hub: hub.add("org/m", private=True), HubNotFound),
        (lambda hub: hub.add("org/m", ref="other"), RevisionNotFound),
        (lambda hub: hub.fail("/api/models", 500), HubError),
        (lambda hub: hub.fail("/api/models", 403), HubUnauthorized),
        (lambda hub: hub.close(), HubUnreachable),
    ],
    ids=["gated", "missing", "private", "no such revision", "broken", "forbidden", "unreachable"],
)
def test_each_refusal_has_its_own_error(hub_server, hub_cache, prepare, expected):
    prepare(hub_server)
    with pytest.raises(expected) as caught:
        pull()
    assert type(caught.value) is expected
    assert caught.value.hint
    assert cached_names() == []


def test_a_wrong_token_is_unauthorized(hub_server, hub_cache, monkeypatch):
    hub_server.add("org/m")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubUnauthorized):
        pull()


def test_a_full_disk_is_noticed_before_the_download(hub_server, hub_cache, monkeypatch):
    hub_server.add("org/m")
    usage = shutil.disk_usage(hub_cache.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DiskFull) as caught:
        pull()
    assert caught.value.details["free_bytes"] == 1000
    assert hub_server.count("/resolve/") == 0


@pytest.mark.parametrize("path", ["../../evil", "/etc/evil", "a/../../evil"])
def test_a_hub_that_names_files_outside_is_refused(hub_server, hub_cache, path):
    hub_server.add("org/m", {**build.model(), path: b"x"})
    with pytest.raises(UnsafePath):
        pull()


@pytest.mark.parametrize("name", ["../x", "a/b/c", "org/m@../x", "models--x/..", "-x y"])
def test_what_is_no_name_is_not_asked_for(hub_server, name):
    with pytest.raises(ModelNotFound):
        pull(name)
    assert hub_server.requests == []


def test_a_bare_name_is_one_of_mlx_community(hub_server, hub_cache):
    hub_server.add("mlx-community/Tiny-4bit")
    assert pull("Tiny-4bit").expanded_name == "mlx-community/Tiny-4bit"


def test_a_tree_of_many_pages_is_read_to_its_end(hub_server, hub_cache):
    extra = {f"extra/{n:03}.txt": b"x" * n for n in range(120)}
    hub_server.add("org/m", {**build.model(), **extra})
    assert pull().files_downloaded == len(extra) + len(build.model())


def test_two_pulls_of_one_model_do_not_mix(hub_server, hub_cache):
    hub_server.add("org/m")
    with locks.exclusive(cache.repo(hub_cache.root, "org/m")), pytest.raises(Locked):
        pull()


def test_a_model_that_an_engine_reads_can_be_updated(hub_server, hub_cache):
    hub_server.add("org/m")
    pull()
    hub_server.add("org/m", {**build.model(), "README.md": b"new"}, commit=build.OTHER)
    with locks.reading(resolve("org/m").folder):
        assert pull().hash == build.OTHER


def test_events_are_lines_before_the_envelope(hub_server, hub_cache):
    from mlxk.contract.validate import problems

    hub_server.add("org/m")
    argv = [sys.executable, "-m", "mlxk", "pull", "org/m", "--events"]
    done = subprocess.run(argv, capture_output=True, check=True)
    *events, envelope = map(orjson.loads, done.stdout.splitlines())
    assert not problems("pull", envelope)
    assert events
    assert not [p for event in events for p in problems("progress", event)]
