"""What was read once need not be read again, not even after a crash; damage is only a miss."""

import gc
import os
import threading
import time

import mlx.core as mx
import pytest
from kept_prompts import DAMAGES, PROMPT, files, said_and_cached, settle, start
from waiting import until

from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Job
from mlxk.engine.segments import Segments

FAMILIES = ["qwen3", "gemma3_text", "lfm2", "mamba2", "gpt_oss"]


@pytest.fixture
def engine(tiny_model, tmp_path):
    """A new runner over the same archive, as after a restart."""

    def make(family="qwen3", limit=1 << 30, kv_bits=None, **options):
        return start(tiny_model(family, **options), tmp_path / "kv", limit, kv_bits)

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_after_a_restart_nothing_is_read_twice(engine, family):
    first = engine(family)
    wanted, cached = said_and_cached(first)
    assert cached == 0
    settle(first)
    assert said_and_cached(engine(family)) == (wanted, 299)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_tail_reads_only_the_tail(engine, family):
    first = engine(family)
    answer, _ = said_and_cached(first)
    settle(first)
    longer = [*PROMPT, *answer, 9, 8, 7]
    fresh, _ = said_and_cached(engine(family, seed=7), longer)
    again, cached = said_and_cached(engine(family), longer)
    assert again == fresh
    assert cached >= 299


def test_quantised_caches_survive_too(engine):
    first = engine("llama-wide", kv_bits=8)
    wanted, _ = said_and_cached(first)
    settle(first)
    assert said_and_cached(engine("llama-wide", kv_bits=8)) == (wanted, 299)
    assert said_and_cached(engine("llama-wide"))[1] == 0


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_a_miss_and_is_replaced(engine, tmp_path, damage):
    first = engine()
    wanted, _ = said_and_cached(first)
    settle(first)
    for path in files(tmp_path / "kv"):
        damage(path)
    second = engine()
    assert said_and_cached(second) == (wanted, 0)
    settle(second)
    assert said_and_cached(engine()) == (wanted, 299)


def test_other_weights_find_nothing(engine):
    first = engine()
    said_and_cached(first)
    settle(first)
    assert said_and_cached(engine(seed=8))[1] == 0


def test_a_folder_that_cannot_be_written_costs_only_the_cache(engine, tmp_path):
    (tmp_path / "kv").write_text("in the way")
    first = engine()
    wanted, _ = said_and_cached(first)
    settle(first)
    assert said_and_cached(engine()) == (wanted, 0)


def test_the_limit_is_kept_and_the_newest_stay(engine, tmp_path):
    first = engine(limit=400_000)
    for token in range(3, 9):
        said_and_cached(first, [token, *PROMPT])
        settle(first)
    assert sum(path.stat().st_size for path in files(tmp_path / "kv")) <= 400_000
    assert said_and_cached(engine(limit=400_000), [8, *PROMPT])[1] > 0


def test_two_processes_share_a_folder(engine):
    first, second = engine(), engine()
    wanted, _ = said_and_cached(first)
    settle(first)
    assert said_and_cached(second) == (wanted, 299)


def test_a_chain_needs_each_of_its_pieces(tmp_path):
    segments = Segments(tmp_path, b"model", 1 << 20)
    pieces = list(segments.split(range(600), whole=False))
    assert [(piece.start, piece.end) for piece in pieces] == [(0, 256), (256, 512), (512, 600)]
    for piece in (pieces[0], pieces[2]):
        segments.write(piece, [b"bo", b"dy"])
    assert segments.find(range(600), needs_state=False) == pieces[:1]
    assert segments.find([5, *range(600)], needs_state=False) == []


def piece_of(segments, first):
    (piece,) = segments.split([first, *range(100)], whole=False)
    return piece


def test_a_large_folder_is_not_looked_through_again_and_again(tmp_path):
    other = Segments(tmp_path / "m", b"model", 1 << 30)
    (tmp_path / "m").mkdir()
    for first in range(5000):
        (tmp_path / "m" / piece_of(other, first).file_name).touch()
    began = time.perf_counter()
    segments = Segments(tmp_path / "m", b"model", 1 << 30)
    one_look_s = time.perf_counter() - began
    assert segments.count == 5000
    began = time.perf_counter()
    for first in range(5000, 5100):
        segments.write(piece_of(segments, first), [b"body"])
        assert segments.find([first, *range(100)], needs_state=False)
    assert time.perf_counter() - began < 40 * one_look_s


def test_what_others_write_and_remove_is_noticed(tmp_path):
    mine, theirs = (Segments(tmp_path / "m", b"model", 1 << 30) for _ in range(2))
    for first in range(3):
        theirs.write(piece_of(theirs, first), [b"body"])
    until(lambda: mine.find([2, *range(100)], needs_state=False))
    assert mine.count == 3
    theirs.discard(piece_of(theirs, 2))
    until(lambda: not mine.find([2, *range(100)], needs_state=False))
    assert mine.count == 2


def test_what_a_killed_process_has_begun_to_write_is_removed(tmp_path):
    segments = Segments(tmp_path / "m", b"model", 1 << 30)
    segments.write(piece_of(segments, 1), [b"body"])
    for name, age_s in (("old", 3600), ("young", 5)):
        path = tmp_path / "m" / f".{name}.kv.xyz.tmp"
        path.write_bytes(b"begun")
        os.utime(path, (time.time() - age_s, time.time() - age_s))
    later = Segments(tmp_path / "m", b"model", 1 << 30)
    later.write(piece_of(later, 2), [b"body"])
    assert [path.name for path in tmp_path.rglob("*.tmp")] == [".young.kv.xyz.tmp"]
    assert len(list(tmp_path.rglob("*.kv"))) == 2


def test_several_who_write_keep_one_limit(tmp_path):
    writers = [Segments(tmp_path / name, b"model", 100_000) for name in ("a", "a", "b")]
    for first in range(60):
        for number, each in enumerate(writers):
            each.write(piece_of(each, 100 * number + first), [bytes(2000)])
    sizes = [path.stat().st_size for path in tmp_path.rglob("*.kv")]
    assert 50_000 < sum(sizes) <= 120_000


def test_a_disk_that_does_not_keep_up_costs_little_memory(tiny_model, tmp_path):
    """512 bytes a token: 4 MB in all, of which 1 MB may be kept and a quarter of that wait."""
    runner = start(tiny_model("qwen3"), tmp_path / "kv", kept=1 << 20)
    segments = runner._prefixes._archive._segments
    goes_on = threading.Event()
    write = segments.write
    segments.write = lambda *piece: (goes_on.wait(), write(*piece))
    before = mx.get_active_memory()
    for token in range(3, 11):
        said_and_cached(runner, [token] * 1000)
    gc.collect()
    held = mx.get_active_memory() - before
    goes_on.set()
    settle(runner)
    assert held < 2 << 20
    assert files(tmp_path / "kv")


def test_nobody_waits_for_what_is_read_for_someone_who_has_left(tiny_model, tmp_path):
    first = start(tiny_model("qwen3"), tmp_path / "kv")
    long = [*PROMPT] * 8
    for prompt in (long, PROMPT[::-1]):
        said_and_cached(first, prompt)
        settle(first)
    runner = start(tiny_model("qwen3"), tmp_path / "kv")
    segments, read = runner._prefixes._archive._segments, []
    own = segments.read
    segments.read = lambda piece: (read.append(piece), time.sleep(0.05), own(piece))[2]
    runner.add(Job(7, tuple(long), (), 8, (), Policy()))
    runner.step()
    runner.remove(7)
    _, cached = said_and_cached(runner, PROMPT[::-1])
    assert cached == 299
    assert len(read) < 6
