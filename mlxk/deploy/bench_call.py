"""Whether a model calls a tool when it should: one question, one verdict."""

from dataclasses import dataclass
from typing import Literal

from mlxk.chat.fold import gather
from mlxk.chat.model import ChatModel
from mlxk.chat.types import Message, Request, Sampling, Text, Tool, ToolUse
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument, MlxkError
from mlxk.contract.validate import compiled, problems_of

_TOOL = Tool(
    "get_weather",
    "Get the current weather of a city.",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
_QUESTION = "What is the weather in Rome right now? Use the tool."
_MAX_TOKENS = 512

Verdict = Literal["passed", "no_call", "wrong_tool", "invalid_arguments", "refused"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`detail` is what was called, or why nothing was."""

    verdict: Verdict
    detail: str | None


async def tool_call(model: ChatModel, name: str) -> ToolCall:
    request = Request(
        name,
        (Message("user", (Text(_QUESTION),)),),
        tools=(_TOOL,),
        sampling=Sampling(temperature=0),
        max_tokens=_MAX_TOKENS,
    )
    try:
        folded = await gather(model.stream(request))
    except MlxkError as e:
        return ToolCall("refused", str(e))
    calls = folded.message.tool_uses
    return _judged(calls[0]) if calls else ToolCall("no_call", None)


def _judged(call: ToolUse) -> ToolCall:
    if call.name != _TOOL.name:
        return ToolCall("wrong_tool", call.name)
    try:
        arguments = encoding.loads(call.arguments, "the arguments")
    except InvalidDocument as e:
        return ToolCall("invalid_arguments", str(e))
    if found := problems_of(compiled(_TOOL.parameters), arguments):
        return ToolCall("invalid_arguments", f"{found[0].message} at {found[0].pointer or '/'}")
    return ToolCall("passed", f"{call.name}({call.arguments})")
