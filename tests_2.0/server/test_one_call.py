"""Who asks for one call at a time gets one, in every format that can ask."""

import pytest
from scripted import Scripted

from mlxk.chat.types import Finish, Start, TextDelta, ToolUseDelta, ToolUseStart, Usage

CALLS = (
    Start("r1", "m"),
    TextDelta("I read."),
    ToolUseStart("t1", "Read"),
    ToolUseDelta('{"path":"a"}'),
    ToolUseStart("t2", "Read"),
    ToolUseDelta('{"path":"b"}'),
    Finish("tool_use", Usage(5, 20)),
)
ONE = {"parallel_tool_calls": False}
ASKED = {
    "/v1/chat/completions": ({"messages": [{"role": "user", "content": "Hi"}]}, ONE),
    "/v1/responses": ({"input": "Hi"}, ONE),
    "/v1/messages": (
        {"max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", ASKED)
async def test_the_second_call_is_left_out_where_one_was_asked_for(serve, path, stream):
    http = await serve(Scripted(CALLS))
    body, one = ASKED[path]
    both = await (await http.post(path, json=body | {"stream": stream})).text()
    first = await (await http.post(path, json=body | one | {"stream": stream})).text()
    assert "I read." in first
    for id, told in (("t1", True), ("t2", False)):
        assert id in both
        assert (id in first) == told


async def test_a_kept_answer_says_that_one_call_was_asked_for(serve):
    http = await serve(Scripted(CALLS))
    answer = await http.post("/v1/responses", json={"input": "Hi"} | ONE)
    body = await answer.json()
    assert body["parallel_tool_calls"] is False
    assert body["usage"]["output_tokens"] == 20
