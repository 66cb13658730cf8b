"""The whole engine: real processes, real models, small."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import aclosing

import pytest
from processes import gone
from waiting import happens

from mlxk.chat.fold import gather
from mlxk.chat.types import Finish, Message, Request, Sampling, Start, Text, TextDelta
from mlxk.contract.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineMissing,
    InvalidValue,
    ModelUnhealthy,
    OverCapacity,
    RuntimeIncompatible,
)
from mlxk.engine.model import EngineModel
from mlxk.engine.options import EngineOptions
from mlxk.system import hardware


def ask(text="hello", **fields):
    fields.setdefault("max_tokens", 24)
    return Request("tiny", (Message("user", (Text(text),)),), **fields)


@pytest.fixture
def engine(tiny_model, home):
    """`engine()`: an EngineModel of a small random model, closed by its own `async with`."""

    def make(family="qwen3", folder=None, **options):
        return EngineModel(
            folder or tiny_model(family), "tiny", home=home, options=EngineOptions(**options)
        )

    return make


async def said(model, request):
    return (await gather(model.stream(request))).message.text


async def test_a_stream_is_one_start_deltas_and_one_finish(engine):
    async with engine() as model:
        events = [event async for event in model.stream(ask())]
        assert isinstance(events[0], Start)
        assert isinstance(events[-1], Finish)
        assert all(isinstance(event, TextDelta) for event in events[1:-1])
        assert events[-1].reason in ("length", "stop")
        assert events[-1].usage.prompt_tokens == await model.count_tokens(ask())
        assert model.phase == "ready"
        assert model.timings.load_s > 0


async def test_together_they_say_what_each_says_alone(engine):
    async with engine() as model:
        requests = [ask("x" * n, max_tokens=40) for n in (1, 5, 30, 90)]
        alone = [await said(model, request) for request in requests]
        assert await asyncio.gather(*(said(model, request) for request in requests)) == alone


async def test_the_same_seed_says_the_same_in_any_company(engine):
    warm = Sampling(temperature=1.0, seed=3)
    async with engine() as model:
        alone = await said(model, ask(sampling=warm))
        company = (said(model, ask(f"{n}", sampling=Sampling(temperature=1.0))) for n in range(3))
        again, *others = await asyncio.gather(said(model, ask(sampling=warm)), *company)
        assert again == alone
        assert len({alone, *others}) > 1


async def test_a_stop_string_ends_the_text_before_it(engine):
    async with engine() as model:
        whole = await said(model, ask())
        stop = whole[8:11]
        folded = await gather(model.stream(ask(stop=(stop,))))
        assert folded.message.text == whole[: whole.index(stop)]
        assert (folded.finish.reason, folded.finish.stop) == ("stop", stop)


async def test_log_probabilities_come_with_the_text(engine):
    async with engine() as model:
        events = [event async for event in model.stream(ask(top_logprobs=2))]
        deltas = [event for event in events if isinstance(event, TextDelta)]
        measured = [one for delta in deltas for one in delta.logprobs]
        assert len(measured) == events[-1].usage.completion_tokens
        assert all(len(one.top) == 2 and one.logprob == one.top[0][1] for one in measured)


async def test_closing_a_stream_frees_its_place(engine):
    async with engine(rows=1) as model:
        async with aclosing(model.stream(ask(max_tokens=300))) as stream:
            for _ in range(3):
                await anext(stream)
        began = time.monotonic()
        await said(model, ask(max_tokens=2))
        assert time.monotonic() - began < 2


async def test_a_killed_process_is_replaced_and_the_text_goes_on(engine):
    async with engine() as model:
        requests = [ask("x" * n, max_tokens=200) for n in (3, 12, 40)]
        wanted = [await said(model, request) for request in requests]
        readers = [asyncio.ensure_future(said(model, request)) for request in requests]
        for restarts in (1, 2):
            await asyncio.sleep(0.15)
            os.kill(model.pid, signal.SIGKILL)
            while model.stats.restarts < restarts or model.phase != "ready":
                await asyncio.sleep(0.01)
        assert await asyncio.gather(*readers) == wanted


async def test_a_stopped_process_is_noticed_and_replaced(engine):
    async with engine(silence_s=3.0) as model:
        wanted = await said(model, ask(max_tokens=200))
        reader = asyncio.ensure_future(said(model, ask(max_tokens=200)))
        await asyncio.sleep(0.05)
        os.kill(model.pid, signal.SIGSTOP)
        assert await reader == wanted
        assert model.stats.restarts == 1


async def test_a_request_beyond_the_context_is_refused_with_both_numbers(engine):
    async with engine(context=20) as model:
        with pytest.raises(ContextLengthExceeded) as caught:
            await said(model, ask("x" * 100))
        assert caught.value.details["context_length"] == 20
        assert caught.value.details["prompt_tokens"] > 100


async def test_the_answer_ends_where_the_context_ends(engine):
    async with engine() as model:
        count = await model.count_tokens(ask())
    async with engine(context=count + 5) as model:
        folded = await gather(model.stream(ask(max_tokens=None)))
        assert folded.finish.usage.completion_tokens <= 5


async def test_the_figures_follow_at_once(engine):
    async with engine() as model, aclosing(model.stream(ask(max_tokens=400))) as stream:
        await anext(stream)
        assert (model.stats.active_sequences, model.stats.queued) == (1, 0)
        await stream.aclose()
        assert (model.stats.active_sequences, model.stats.queued) == (0, 0)


async def test_the_memory_that_was_held_is_told(engine, tiny_model):
    weights = (tiny_model("qwen3") / "model.safetensors").stat().st_size
    async with engine() as model:
        await said(model, ask())
        await happens(lambda: model.stats.peak_memory_bytes)  # with the next sign of life
        assert weights * 0.9 < model.stats.peak_memory_bytes < 1e9


async def test_the_memory_of_sequences_is_told_as_long_as_they_run(engine):
    async def answers():
        while True:
            await said(model, ask(max_tokens=400))

    async with engine() as model:
        asking = asyncio.create_task(answers())
        await happens(lambda: model.stats.kv_bytes > 0)
        asking.cancel()
        await happens(lambda: model.stats.kv_bytes == 0)


async def test_beyond_the_queue_requests_are_turned_away(engine):
    async with (
        engine(rows=1, queue=0) as model,
        aclosing(model.stream(ask(max_tokens=400))) as stream,
    ):
        await anext(stream)
        with pytest.raises(OverCapacity):
            await said(model, ask())


@pytest.mark.parametrize(
    "fields", [{"max_tokens": 0}, {"sampling": Sampling(top_p=7.0)}, {"top_logprobs": 21}], ids=str
)
async def test_nonsense_is_refused_before_the_first_event(engine, fields):
    async with engine() as model:
        with pytest.raises(InvalidValue):
            await said(model, ask(**fields))


async def test_a_broken_folder_says_which_file(engine, tiny_model, tmp_path):
    (tmp_path / "config.json").write_text("{")
    async with engine(folder=tmp_path) as model:
        with pytest.raises(ModelUnhealthy, match=r"config\.json"):
            await model.ready()


async def test_missing_weights_are_a_clear_error(engine, tiny_model, tmp_path):
    for file in tiny_model("qwen3").iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    async with engine(folder=tmp_path) as model:
        with pytest.raises(ModelUnhealthy, match="safetensors"):
            await model.ready()
        assert model.phase == "failed"
        with pytest.raises(ModelUnhealthy):
            await said(model, ask())


async def test_an_unknown_architecture_is_incompatible(engine, tiny_model, tmp_path):
    for file in tiny_model("qwen3").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = (tmp_path / "config.json").read_text().replace('"qwen3"', '"nonesuch"')
    (tmp_path / "config.json").write_text(config)
    async with engine(folder=tmp_path) as model:
        with pytest.raises(RuntimeIncompatible, match="nonesuch"):
            await model.ready()


async def test_without_mlx_the_hint_is_what_to_install(engine, monkeypatch):
    monkeypatch.setattr(hardware, "backend", lambda: None)
    with pytest.raises(EngineMissing) as caught:
        await engine().open()
    assert caught.value.hint.startswith("pip install ")


async def test_closing_the_model_ends_its_streams_and_its_process(engine):
    async with engine() as model:
        await model.ready()
        pid = model.pid
        stream = model.stream(ask(max_tokens=400))
        await anext(stream)
    with pytest.raises(EngineFailed):
        async for _ in stream:
            pass
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


PARENT = """
import asyncio, sys
from pathlib import Path
from mlxk.engine.model import EngineModel

async def main():
    async with EngineModel(Path(sys.argv[1]), "tiny", home=Path(sys.argv[2])) as model:
        print(model.pid, flush=True)
        await model.ready()
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("moment", ["loading", "ready"])
def test_a_process_dies_with_its_parent(tiny_model, home, moment):
    argv = [sys.executable, "-c", PARENT, str(tiny_model("qwen3")), str(home)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        if moment == "ready":
            assert parent.stdout.readline() == "ready\n"
        parent.kill()
    assert gone([pid])
