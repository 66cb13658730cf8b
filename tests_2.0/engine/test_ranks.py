"""Two processes, each with half of the weights, are one engine and say what one process says."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import faulty_rank
import kept_prompts
import orjson
import processes
import pytest
from processes import descendants, gone
from waiting import happens

from mlxk.chat.fold import gather
from mlxk.chat.types import Message, Request, Sampling, Text
from mlxk.contract.errors import (
    EngineFailed,
    InvalidDocument,
    InvalidValue,
    NotFound,
    RuntimeIncompatible,
    StartFailed,
)
from mlxk.engine import crew
from mlxk.engine.model import EngineModel
from mlxk.engine.options import EngineOptions
from mlxk.engine.ranks import Ranks, divided, launching
from mlxk.hub import cache, locks

TWO = Ranks(2, "ring")


def ask(text, max_tokens=60, **sampling):
    message = Message("user", (Text(text),))
    return Request("tiny", (message,), max_tokens=max_tokens, sampling=Sampling(**sampling))


REQUESTS = [
    ask("a"),
    ask("b" * 90),
    ask("c" * 300),
    ask("d" * 8, temperature=0.9, top_p=0.9, seed=5),
    ask("e", repetition_penalty=1.2),
]


async def said(model, request):
    return (await gather(model.stream(request))).message.text


async def together(model, requests=REQUESTS):
    return await asyncio.gather(*(said(model, request) for request in requests))


@pytest.fixture
def engine(tiny_model, home):
    def make(family="qwen3", who=None, **options):
        folder = tiny_model(family)
        return EngineModel(folder, "tiny", home=home, options=EngineOptions(ranks=who, **options))

    return make


async def test_two_ranks_say_what_one_process_says(engine):
    async with engine() as alone:
        wanted = await together(alone)
    async with engine(who=TWO) as model:
        assert [await said(model, request) for request in REQUESTS] == wanted
        async with aclosing(model.stream(ask("f", 300))) as left:
            await anext(left)
            readers = asyncio.ensure_future(together(model))
            await anext(left)
        assert await readers == wanted


async def test_a_killed_rank_is_replaced_and_the_text_goes_on(engine, tmp_path):
    requests = [ask(text, 250) for text in ("x", "y" * 40, "z" * 9)]
    long = ask("k" * 300)
    async with engine(who=TWO, prefix_cache_folder=tmp_path / "kv") as model:
        known = await said(model, long)
        await happens(lambda: len(list(tmp_path.glob("kv/*/*-0-256-?.kv"))) == 2)
        wanted = await together(model, requests)
        readers = asyncio.ensure_future(together(model, requests))
        await asyncio.sleep(0.1)
        launcher, (zero, one) = model.pid, ranks_of(model)
        os.kill(one, signal.SIGKILL)
        assert await readers == wanted
        assert model.stats.restarts == 1
        assert gone([launcher, zero, one])
        again = await gather(model.stream(long))
        assert again.message.text == known
        assert again.finish.usage.cached_tokens >= 256


@pytest.fixture
def poisoned(monkeypatch):
    """Ranks that fail as `faulty_rank` says."""

    def line(who, path, environment):
        words = launching(who, path, environment)
        at = words.index("mlxk.engine.rank")
        return [*words[: at - 1], faulty_rank.__file__, *words[at + 1 :]]

    monkeypatch.setattr(crew, "launching", line)
    monkeypatch.setenv("PYTHONPATH", str(Path(faulty_rank.__file__).parent))


async def answered(model, poison):
    """What it says while it is poisoned, what the poison gets, and how often it was restarted."""
    wanted = await together(model)
    readers = asyncio.ensure_future(together(model))
    with pytest.raises(EngineFailed) as caught:
        await said(model, ask("a" * 20 + poison + "b"))
    return await readers == wanted, str(caught.value), model.stats.restarts


async def test_what_fails_at_all_ranks_alike_is_the_end_of_one_request(engine, poisoned):
    async with engine(who=TWO) as model:
        assert await answered(model, faulty_rank.ALL) == (True, "unlucky", 0)


@pytest.mark.slow
async def test_what_fails_at_one_rank_is_the_end_of_all(engine, poisoned):
    async with engine(who=TWO) as model:
        are_well, _, restarts = await answered(model, faulty_rank.ONE)
        assert are_well
        assert restarts > 1


FROM_DISK = {"qwen3": 256, "gpt_oss": 0}


@pytest.mark.parametrize("family", ["qwen3", pytest.param("gpt_oss", marks=pytest.mark.slow)])
def test_ranks_start_from_what_all_of_them_have_on_disk(tiny_model, tmp_path, family):
    """See `kept_prompts.story`: one misses a file, has a damaged one, is slow, has none."""
    some = FROM_DISK[family]
    first, second = launched(kept_prompts.__file__, tiny_model(family), tmp_path / "kv")
    assert first == second
    texts, cached = zip(*first, strict=True)
    assert {tuple(text) for text in texts} == {tuple(texts[0])}
    assert cached == (0, 299, some, 0, 299, 299, 0)
    assert len(list((tmp_path / "kv").iterdir())) == 2


def launched(program, *arguments):
    """What a program prints as each of two ranks."""
    words = launching(TWO, Path(), {})
    line = [*words[: words.index("--") + 1], sys.executable, "-P", program, *map(str, arguments)]
    support = Path(processes.__file__).parent
    places = os.pathsep.join(map(str, (support, support.parents[1])))
    env = os.environ | {"PYTHONPATH": places, "MLX_DISABLE_COMPILE": "1"}
    done = subprocess.run(line, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, timeout=300)
    return [told for _, told in sorted(map(orjson.loads, done.stdout.splitlines()))]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "qwen3_moe", "gpt_oss"])
async def test_deaths_of_any_rank_cost_nobody_a_token(engine, family):
    async with engine(family) as alone:
        wanted = await together(alone)
    async with engine(family, TWO) as model:
        assert await together(model) == wanted
        for victim in (0, 1, None):
            readers = asyncio.ensure_future(together(model))
            await asyncio.sleep(0.2)
            os.kill(model.pid if victim is None else ranks_of(model)[victim], signal.SIGKILL)
            assert await readers == wanted, victim


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen3", "gpt_oss"])
async def test_ten_deaths_at_random_cost_nobody_a_token(engine, tmp_path, family):
    dice = random.Random(family)
    requests = [replace(request, max_tokens=250) for request in REQUESTS[1:]]
    async with engine(family, TWO, prefix_cache_folder=tmp_path / "kv") as model:
        wanted = await together(model, requests)
        for death in range(10):
            readers = asyncio.ensure_future(together(model, requests))
            await asyncio.sleep(dice.uniform(0.0, 1.0))
            os.kill(ranks_of(model)[dice.randrange(2)], signal.SIGKILL)
            assert await readers == wanted, death
        assert model.stats.restarts >= 10


@pytest.mark.slow
async def test_what_cannot_be_divided_is_refused(engine):
    async with engine("gemma3_text", TWO) as model:
        with pytest.raises(RuntimeIncompatible, match="gemma3_text is not supported on several"):
            await model.ready()
    async with engine("qwen3", Ranks(3, "ring")) as model:
        with pytest.raises(RuntimeIncompatible, match="num_attention_heads is 4"):
            await model.ready()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["starting", "ready"])
def test_no_rank_outlives_whoever_started_it(tiny_model, home, tmp_path, when):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [sys.executable, __file__, str(tiny_model("qwen3")), str(home), when],
        stdout=subprocess.PIPE,
        env=os.environ
        | {"PYTHONPATH": str(Path(processes.__file__).parent), "TMPDIR": str(scratch)},
    ) as process:
        process.stdout.readline()
        children = descendants(process.pid)
        assert len(children) >= 3
        process.kill()
        assert gone(children, within=20)
        assert not list(scratch.iterdir())


@pytest.mark.parametrize("trouble", ["no program", "no socket"])
async def test_a_launcher_that_cannot_be_started_leaves_nothing(
    engine, tmp_path, monkeypatch, trouble
):
    scratch = tmp_path / ("x" * 99 if trouble == "no socket" else "scratch")
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    if trouble == "no program":
        monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises((OSError, StartFailed), match=r"python|too long"):
        await engine(who=TWO).open()
    assert not list(scratch.iterdir())


async def test_an_engine_that_cannot_be_launched_lets_its_model_go(
    hub_cache, home, tmp_path, monkeypatch
):
    folder, repo = hub_cache.add("org/m"), cache.repo(hub_cache.root, "org/m")
    (tmp_path / ("x" * 99)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * 99)))
    model = EngineModel(folder, "m", options=EngineOptions(ranks=TWO), home=home)
    with pytest.raises(StartFailed):
        await model.open()
    assert not locks.held(repo)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_the_launcher_gets_the_ports_and_no_secret(tmp_path):
    words = launching(TWO, tmp_path / "s", {"HF_HUB_OFFLINE": "1"})
    assert words[4:8] == ["-n", "2", "--backend", "ring"]
    assert [words[i + 1] for i, word in enumerate(words) if word == "--env"] == ["HF_HUB_OFFLINE=1"]
    assert words[-5:] == ["-m", "mlxk.engine.rank", str(tmp_path / "s"), "127.0.0.1", "ring"]


def test_a_hostfile_says_how_many_where_and_by_which_backend(tmp_path):
    path = tmp_path / "hosts.json"
    hosts = [{"ssh": "127.0.0.1", "ips": ["10.0.0.1"]}, {"ssh": "b", "ips": ["10.0.0.2"]}]
    path.write_bytes(orjson.dumps({"backend": "jaccl", "hosts": hosts}))
    assert divided(None, path, None) == Ranks(2, "jaccl", "10.0.0.1", path)
    path.write_bytes(orjson.dumps(hosts))
    assert divided(2, path, "nccl") == Ranks(2, "nccl", "10.0.0.1", path)
    with pytest.raises(InvalidValue, match="lists 2 ranks, not 3"):
        divided(3, path, None)


@pytest.mark.parametrize(
    "text",
    ["[", "{}", "[]", "[1]", '[{"ssh": "a"}]', '{"hosts": 1}', '{"backend": 3, "hosts": []}'],
)
def test_a_broken_hostfile_is_refused(tmp_path, text):
    path = tmp_path / "hosts.json"
    path.write_text(text)
    with pytest.raises(InvalidDocument):
        divided(None, path, None)


def test_one_rank_is_one_process_and_nonsense_is_refused(tmp_path):
    assert divided(1, None, None) is None
    assert divided(None, None, "ring") is None
    with pytest.raises(InvalidValue, match="no backend 'mpi'"):
        divided(2, None, "mpi")
    with pytest.raises(NotFound):
        divided(None, tmp_path / "absent", None)


def ranks_of(model):
    """Pids by rank: the launcher starts them in that order."""
    return sorted(descendants(model.pid))


async def run(folder, home, when):
    async with EngineModel(folder, "tiny", home=home, options=EngineOptions(ranks=TWO)) as model:
        if when == "ready":
            await model.ready()
        else:
            while len(descendants(model.pid)) < 2:
                await asyncio.sleep(0.01)
        print("now", flush=True)
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
