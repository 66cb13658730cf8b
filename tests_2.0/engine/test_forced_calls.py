"""A forced call is a whole call, also where the marks are added tokens that are not special."""

import pytest

from mlxk.chat.fold import gather
from mlxk.chat.types import Message, Request, Text, Tool, ToolChoice
from mlxk.engine.named import engine

WRITE = Tool(
    "Write",
    "Write a file.",
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["path", "content"],
        "additionalProperties": False,
    },
)
READ = Tool("Read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "Write")])
async def test_the_embedded_model_is_held_to_a_call(home, choice):
    ask = Message("user", (Text("Create a file hello.txt containing Hello world"),))
    request = Request("builtin:tiny", (ask,), (READ, WRITE), choice, max_tokens=100)
    async with engine("builtin:tiny") as model:
        reply = (await gather(model.stream(request))).reply
    assert reply.reason == "tool_use"
    assert reply.message.tool_uses[0].name == "Write"
    assert reply.message.tool_uses[0].arguments == '{"path":"hello.txt","content":"Hello world"}'
