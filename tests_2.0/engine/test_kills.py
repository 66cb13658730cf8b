"""Thirty deaths at random moments cost nobody a token."""

import asyncio
import os
import random
import signal

import pytest

from mlxk.chat.fold import gather
from mlxk.chat.types import Message, Request, Sampling, Text
from mlxk.engine.model import EngineModel


def ask(text, **sampling):
    message = Message("user", (Text(text),))
    return Request("tiny", (message,), max_tokens=250, sampling=Sampling(**sampling))


REQUESTS = [
    ask("a"),
    ask("b" * 90),
    ask("c" * 30, temperature=0.9, top_p=0.9, seed=5),
    ask("d" * 8, repetition_penalty=1.2),
]


async def said(model, request):
    return (await gather(model.stream(request))).message.text


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen3", "gemma3_text", "lfm2"])
async def test_thirty_deaths_cost_nobody_a_token(tiny_model, home, family):
    dice = random.Random(family)
    async with EngineModel(tiny_model(family), "tiny", home=home) as model:
        wanted = [await said(model, request) for request in REQUESTS]
        for death in range(10):
            readers = [asyncio.ensure_future(said(model, request)) for request in REQUESTS]
            await asyncio.sleep(dice.uniform(0.0, 0.5))
            os.kill(model.pid, signal.SIGKILL)
            assert await asyncio.gather(*readers) == wanted, death
        assert model.stats.restarts == 10
