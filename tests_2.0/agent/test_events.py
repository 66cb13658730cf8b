"""What a run tells while it works, beyond words and calls."""

from importlib.util import find_spec
from pathlib import Path

import checkout
import orjson
import pytest
from aiohttp import web

from mlxk.agent import Agent
from mlxk.agent.limits import Budgets
from mlxk.agent.settings import NAMES
from mlxk.chat.scripted import Scripted, call
from mlxk.contract import encoding
from mlxk.contract.errors import LimitReached
from mlxk.contract.notes import note
from mlxk.contract.validate import problems
from mlxk.engine.model import EngineModel
from mlxk.providers.client import Patience, RemoteModel
from mlxk.providers.endpoints import endpoint

HELLO = b'data: {"id":"r","model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


@pytest.fixture
def events(repo):
    """Run a model with everything on; gives its events, each checked by the schema."""

    async def run(model, prompt="do it", **fields):
        heard = []
        agent = Agent(model=model, folder=repo, **fields)
        await agent.run(prompt, listener=heard.append)
        assert not [p for e in heard for p in problems("agent-event", plain(e))]
        return heard

    return run


def plain(event):
    return orjson.loads(encoding.dumps(event))


def of(heard, kind):
    return [event.data for event in heard if event.type == kind]


async def test_a_run_begins_with_what_it_may_do_and_how_large_it_is(events):
    heard = await events(Scripted("Done."), budgets=Budgets(turns=7))
    started = heard[0].data
    assert (started.permissions, started.allow, started.deny) == ("workspace", (), ())
    assert started.budgets == {"turns": 7, "tokens": None, "seconds": None, "tool_calls": None}
    assert (started.prompt_tokens, started.prompt_bytes > 1000) == (None, True)


async def test_the_first_prompt_of_our_own_agent_stays_small(events):
    """With every tool there is, counted by a tokenizer that people use."""
    from tokenizers import Tokenizer

    package = Path(find_spec("litellm").origin).parent  # to import it asks the network
    found = next(package.rglob("anthropic_tokenizer.json"))
    model = Scripted("Done.")
    await events(model, tools=NAMES)
    request = model.requests[0]
    text = encoding.dumps((request.messages, request.tools)).decode()
    assert 300 < len(Tokenizer.from_file(str(found)).encode(text).ids) < 3000


async def test_a_model_that_can_count_says_how_large_the_prompt_is(events):
    heard = await events("builtin:tiny", "List the files in this folder")
    started, (used, *_) = heard[0].data, of(heard, "usage")
    assert started.prompt_tokens == used.prompt_tokens
    assert used.context_limit == 4096
    assert used.context_used == used.prompt_tokens + used.completion_tokens


async def test_an_api_that_is_asked_again_is_an_event(events):
    replies = [(503, b"busy"), (200, HELLO + END)]

    async def answer(_):
        status, body = replies.pop(0)
        return web.Response(status=status, body=body, content_type="text/event-stream")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    place = endpoint("openai", f"http://127.0.0.1:{runner.addresses[0][1]}", {})
    async with RemoteModel(place, patience=Patience(first_pause_s=0.01)) as model:
        (retry,) = of(await events(model), "retry")
    await runner.cleanup()
    assert (retry.attempt, retry.reason) == (1, "openai says 503: busy")


async def test_a_warning_is_an_event_when_it_comes_up(events):
    class Warns:
        name = "Warns"
        description = "Warn."
        parameters = {"type": "object"}  # noqa: RUF012

        async def run(self, arguments, folder):
            note("odd", "this is odd")
            return "ok"

    heard = await events(Scripted(call("Warns", "{}"), "Done."), extra_tool_classes=[Warns])
    kinds = [event.type for event in heard]
    told = [(warned.code, warned.message) for warned in of(heard, "warning")]
    assert ("odd", "this is odd") in told
    assert kinds[0] == "run.started"


@pytest.mark.slow
async def test_reading_a_long_prompt_is_told(repo, tiny_model, tmp_path, home):
    import shutil

    folder = shutil.copytree(tiny_model("qwen3"), tmp_path / "long")
    config = orjson.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_bytes(
        orjson.dumps(config | {"max_position_embeddings": 100_000})
    )
    heard = []
    async with EngineModel(folder, "long", home=home) as model:
        agent = Agent(model=model, folder=repo, budgets=Budgets(tokens=4))
        with pytest.raises(LimitReached):
            await agent.run("word " * 2400, listener=heard.append)
    told = of(heard, "prefill")
    assert [p.read for p in told] == sorted(p.read for p in told)
    assert told[0].total == heard[0].data.prompt_tokens > told[-1].read > 0
