"""`health --verify` re-hashes: a single flipped bit is found, and named."""

import hub_cache as build
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.cli import models as commands
from mlxk.contract.errors import ModelUnhealthy
from mlxk.hub import checksum
from mlxk.hub.fleet import Fleet, Task


def drain(events):
    seen = []
    while True:
        try:
            seen.append(next(events))
        except StopIteration as end:
            return end.value, seen


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_one_flipped_bit_is_found(hub_cache, name):
    folder = hub_cache.add("org/bad")
    hub_cache.add("org/good", build.sharded())
    flip(folder / name, -6)
    value, _ = drain(commands.health("org/", verify=True))
    assert [(i.name, i.reason.partition(":")[0]) for i in value.unhealthy] == [("org/bad", name)]
    assert value.summary.healthy_count == 1


def test_without_verify_a_flipped_weight_is_not_seen(hub_cache):
    flip(hub_cache.add("org/m") / "model.safetensors", -1)
    assert commands.health("org/m").summary.healthy_count == 1


def test_a_verified_gate_exits_three(hub_cache):
    flip(hub_cache.add("org/m") / "model.safetensors", -1)
    with pytest.raises(ModelUnhealthy, match="checksum") as caught:
        drain(commands.health("org/m", verify=True, strict=True))
    assert caught.value.exit_code == 3


def test_progress_counts_every_byte_once(hub_cache):
    hub_cache.add("org/m")
    hub_cache.add("org/m", commit=build.OTHER, ref="v2")
    _, events = drain(commands.health("org/m", verify=True))
    files = [e for e in events if e.file]
    assert sum(e.bytes_done for e in files) == sum(map(len, build.model().values()))


@given(st.binary(max_size=200), st.booleans())
def test_a_file_matches_its_own_name_only(tmp_path_factory, data, large):
    path = tmp_path_factory.mktemp("x") / "f"
    path.write_bytes(data)
    blob = build.blob_name("x.safetensors" if large else "x.txt", data)
    assert checksum.matches(str(path), blob, len(data))
    path.write_bytes(data + b"x")
    assert not checksum.matches(str(path), blob, len(data))


def test_the_failure_of_one_worker_is_raised_and_stops_the_others():
    def fail(tick):
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        drain(Fleet([Task("a", 1, fail), Task("b", 1, lambda tick: tick(1))], workers=2).run())
