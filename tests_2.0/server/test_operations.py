"""What a server says of itself: figures, log lines, request ids, its own OpenAPI document."""

from urllib.error import HTTPError

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from scripted import HELLO, Scripted

from mlxk.chat.types import Finish, Usage
from mlxk.contract.errors import OverCapacity
from mlxk.contract.validate import compiled
from mlxk.server.residency import House, Resident

HI = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
CHAT = "/v1/chat/completions"


async def figures(http):
    text = await (await http.get("/metrics")).text()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


@pytest.mark.parametrize("stream", [False, True])
async def test_tokens_and_times_are_counted(serve, stream):
    http = await serve(Scripted())
    await (await http.post(CHAT, json=HI | {"stream": stream})).read()
    told = await figures(http)
    assert told['mlxk_prompt_tokens_total{model="m"}'] == 5
    assert told['mlxk_cached_tokens_total{model="m"}'] == 3
    assert told['mlxk_completion_tokens_total{model="m"}'] == 2
    assert told['mlxk_first_token_seconds_count{model="m"}'] == 1
    assert told['mlxk_token_gap_seconds_count{model="m"}'] == 1
    assert told[f'mlxk_requests_total{{route="{CHAT}",status="200"}}'] == 1


async def test_the_figures_are_as_prometheus_wants_them(serve):
    """Each with a help of its own, counters by their name, times apart by what took them."""
    http = await serve(Scripted())
    for _ in range(2):
        await (await http.post(CHAT, json=HI)).read()
        await http.get("/health")
    text = await (await http.get("/metrics")).text()
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert len({family.documentation for family in found.values()}) == len(found)
    assert {name.partition("_")[0] for name in found} == {"mlxk"}
    assert not [name for name in found if name.endswith("_created")]
    for family in found.values():
        counts = [s for s in family.samples if s.name.endswith("_total")]
        assert bool(counts) == (family.type == "counter")
    times = {
        s.labels["route"]: s.value
        for s in found["mlxk_request_seconds"].samples
        if s.name.endswith("_count")
    }
    assert times == {CHAT: 2, "/health": 2}


async def test_restarts_are_counted_and_the_rest_is_measured(serve):
    http = await serve(Resident("m", Scripted, 0, House(1)))
    text = await (await http.get("/metrics")).text()
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert found["mlxk_restarts"].type == "counter"
    assert found["mlxk_queued"].type == "gauge"
    assert (await figures(http))['mlxk_restarts_total{model="m"}'] == 0


async def test_refusals_are_counted_by_status_and_paths_by_route(serve):
    http = await serve(Scripted((OverCapacity("full"),)))
    await http.post(CHAT, json=HI)
    for path in ("/nowhere/1", "/nowhere/2"):
        await http.get(path)
    told = await figures(http)
    assert told[f'mlxk_requests_total{{route="{CHAT}",status="503"}}'] == 1
    assert told['mlxk_requests_total{route="unknown",status="404"}'] == 2


async def test_each_request_is_one_line_without_its_text(serve):
    lines = []
    http = await serve(Scripted(), log=lines.append)
    secret = {"role": "user", "content": "my secret"}
    await http.post(CHAT, json=HI | {"messages": [secret]}, headers={"X-Request-Id": "r-7"})
    (line,) = lines
    told = orjson.loads(line)
    assert line.endswith(b"\n")
    assert b"secret" not in line
    assert (told["id"], told["model"], told["status"]) == ("r-7", "m", 200)
    assert (told["prompt_tokens"], told["cached_tokens"], told["completion_tokens"]) == (5, 3, 2)


@pytest.mark.parametrize("stream", [False, True])
async def test_speed_is_that_of_the_tokens_also_where_they_were_sent_all_at_once(serve, stream):
    lines = []
    held = (*HELLO[:2], Finish("stop", Usage(5, 11), made_s=2.0))
    http = await serve(Scripted(held), log=lines.append)
    await (await http.post(CHAT, json=HI | {"stream": stream})).read()
    assert orjson.loads(lines[0])["tps"] == 5.0


@pytest.mark.parametrize(("tokens", "is_known"), [(12, True), (300, False)])
async def test_nobody_knows_the_speed_of_what_somebody_else_held_back(serve, tokens, is_known):
    lines = []
    told = (*HELLO[:2], 0.01, HELLO[2], Finish("stop", Usage(5, tokens)))
    http = await serve(Scripted(told), log=lines.append)
    await (await http.post(CHAT, json=HI)).read()
    assert (orjson.loads(lines[0])["tps"] is not None) == is_known


async def test_the_speed_of_several_answers_is_of_them_together(serve):
    lines = []
    turn = (*HELLO[:2], Finish("stop", Usage(5, 11), made_s=2.0))
    http = await serve(Scripted(turn), log=lines.append)
    await (await http.post(CHAT, json=HI | {"n": 3})).read()
    assert orjson.loads(lines[0])["tps"] == 15.0


async def test_a_client_that_left_is_logged_as_such(serve):
    lines = []
    http = await serve(Scripted((*HELLO[:2], 30.0)), log=lines.append)
    response = await http.post(CHAT, json=HI | {"stream": True})
    await response.content.readany()
    response.close()
    await http.get("/health")
    assert 499 in [orjson.loads(line)["status"] for line in lines]


@pytest.mark.parametrize(
    ("given", "kept"), [("r-7", True), ("a b", False), ("x" * 200, False), ("", False)]
)
async def test_a_request_id_is_returned_or_made(serve, given, kept):
    http = await serve(Scripted())
    response = await http.post(CHAT, json=HI, headers={"X-Request-Id": given})
    id = response.headers["X-Request-Id"]
    assert (id == given) == kept
    assert id


async def test_what_is_loaded(serve):
    http = await serve(Scripted())
    (row,) = (await (await http.get("/api/ps")).json())["models"]
    assert (row["name"], row["phase"]) == ("m", "ready")


async def test_every_schema_of_the_openapi_document_is_a_schema(serve):
    http = await serve(Scripted())
    document = await (await http.get("/v1/schema")).json()
    for name, schema in document["components"]["schemas"].items():
        assert compiled({**schema, "components": document["components"]}), name


def test_tokens_go_there_and_back(tiny):
    with tiny.post("/tokenize", {"text": "Hello world"}) as response:
        ids = orjson.loads(response.read())["tokens"]
    with tiny.post("/detokenize", {"tokens": ids}) as response:
        assert orjson.loads(response.read()) == {"text": "Hello world"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/detokenize", {"tokens": [3, 1536]}),
        ("/v1/completions", {"prompt": [3, 1536], "max_tokens": 1}),
        ("/v1/completions", {"prompt": [1 << 31], "max_tokens": 1}),
    ],
)
def test_a_token_that_the_model_does_not_have_is_refused(tiny, path, body):
    with pytest.raises(HTTPError) as refused:
        tiny.post(path, body)
    assert refused.value.code == 400
    assert "no token" in orjson.loads(refused.value.read())["error"]["message"]


def test_a_prompt_of_tokens_is_taken_as_it_is(tiny):
    """Two tokens whose text would be read as one."""
    with tiny.post("/tokenize", {"text": "Hello"}) as response:
        assert orjson.loads(response.read())["count"] == 1
    ids = [orjson.loads(tiny.post("/tokenize", {"text": t}).read())["tokens"][0] for t in "He"]
    with tiny.post("/v1/completions", {"prompt": ids, "max_tokens": 1}) as response:
        assert orjson.loads(response.read())["usage"]["prompt_tokens"] == len(ids)
    said = orjson.loads(tiny.post("/detokenize", {"tokens": ids}).read())["text"]
    with tiny.post("/tokenize", {"text": said}) as response:
        assert orjson.loads(response.read())["count"] != len(ids)
