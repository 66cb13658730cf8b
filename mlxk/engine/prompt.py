"""From a request to the prompt's token ids: messages as the model's template wants them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from mlxk.chat.types import Image, Message, Request, Text, Thinking, Tool, ToolResult, ToolUse
from mlxk.contract.encoding import dumps
from mlxk.contract.errors import InvalidValue
from mlxk.engine.template import ChatTemplate, arguments_of
from mlxk.engine.tokenizer import TextModel
from mlxk.engine.toolcalls.dialects import HERMES, choose

Turn = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """`text` is what `ids` encode. After a raw one every mark is text."""

    text: str
    ids: tuple[int, ...]
    is_raw: bool = False


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a template does with messages that not every template knows."""

    system: bool
    late_system: bool
    tool_role: bool
    calls: "Calls | None"
    tools: bool


@dataclass(frozen=True, slots=True)
class Calls:
    """How a template wants a turn with calls: their arguments as a value or as JSON text, and
    what stands for no words."""

    as_text: bool
    silence: str | None


class Prompter:
    """Renders requests for one model; what its template can do is tried out once."""

    def __init__(self, text: TextModel) -> None:
        self._text = text
        self._abilities = abilities(text.template) if text.template else None
        source = text.template.source if text.template else ""
        # Other families write calls in ways that only their own templates can teach.
        self._can_tell = choose(source, text.has_token, text.parser) is HERMES

    def prompt(self, request: Request) -> Prompt:
        if self._text.template is None or self._abilities is None:
            text = "\n\n".join(message.text for message in request.messages)
            return Prompt(text, tuple(self._text.encode(text, special=True)))
        text = self._render(self._text.template, self._abilities, request)
        return Prompt(text, tuple(self._text.encode(text)))

    def raw(self, text: str) -> Prompt:
        return Prompt(text, tuple(self._text.encode(text, special=True)), is_raw=True)

    def _render(self, template: ChatTemplate, known: Abilities, request: Request) -> str:
        said = turns_of(request.messages)
        tools = [_tool(tool) for tool in offered(request)]
        if tools and not known.tools and self._can_tell:
            said, tools = [_told(tools), *said], []
        turns = adapt(said, known)
        options = options_of(request)
        try:
            return template.render(turns, tools, options)
        except InvalidValue:
            # Many templates insist that user and assistant alternate.
            joined = join_neighbours(turns)
            if len(joined) == len(turns):
                raise
            return template.render(joined, tools, options)


def options_of(request: Request) -> dict[str, Any]:
    """What a template may ask for by name, in the names that most of them know."""
    options = dict(request.template_options)
    if request.thinking is not None:
        options |= {"enable_thinking": request.thinking, "thinking": request.thinking}
    if request.effort is not None:
        options["reasoning_effort"] = _EFFORTS.get(request.effort, request.effort)
    return options


# No model was trained on more than three.
_EFFORTS = {"minimal": "low", "xhigh": "high", "max": "high"}


def offered(request: Request) -> tuple[Tool, ...]:
    """The tools that the model may see: none, the one that is forced, or all."""
    match request.tool_choice.mode:
        case "none":
            return ()
        case "named":
            return tuple(tool for tool in request.tools if tool.name == request.tool_choice.name)
        case _:
            return request.tools


def turns_of(messages: Iterable[Message]) -> list[Turn]:
    """One dictionary a turn, in the names that chat templates read."""
    return [turn for message in messages for turn in _turns(message)]


def adapt(turns: Sequence[Turn], known: Abilities) -> list[Turn]:
    """Leading system turns become one; what the template cannot place moves to a user turn."""
    leading = list(takewhile(lambda turn: turn["role"] == "system", turns))
    rest = [_placed(turn, known) for turn in turns[len(leading) :]]
    system = "\n\n".join(turn["content"] for turn in leading if turn["content"])
    if not system:
        return rest
    if known.system:
        return [{"role": "system", "content": system}, *rest]
    return join_neighbours([{"role": "user", "content": system}, *rest])


def join_neighbours(turns: Iterable[Turn]) -> list[Turn]:
    """Turns of the same role, one after the other, as one; calls stay where they are."""
    joined: list[Turn] = []
    for turn in turns:
        last = joined[-1] if joined else None
        if last and last["role"] == turn["role"] and last.keys() | turn.keys() == _PLAIN:
            content = "\n\n".join(filter(None, (last["content"], turn["content"])))
            joined[-1] = {"role": turn["role"], "content": content}
        else:
            joined.append(turn)
    return joined


_PLAIN = {"role", "content"}


def abilities(template: ChatTemplate) -> Abilities:
    user, answer = {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}
    system = {"role": "system", "content": "mark"}
    result = {"role": "tool", "content": "mark", "tool_call_id": "abcdefghi", "name": "f"}
    shows = _shows(template)
    return Abilities(
        system=shows([system, user]),
        late_system=shows([user, answer, system, user]),
        tool_role=any(shows([user, _caller(way), result]) for way in _WAYS),
        calls=next((way for way in _WAYS if shows([user, _caller(way), result], "name_")), None),
        tools=shows([user], "name_", [_tool(Tool("name_", "", {}))]),
    )


_WAYS = [Calls(as_text, silence) for silence in ("", None) for as_text in (False, True)]


def _caller(way: Calls) -> Turn:
    function = {"name": "name_", "arguments": "{}" if way.as_text else {}}
    call = {"type": "function", "id": "abcdefghi", "function": function}
    return {"role": "assistant", "content": way.silence, "tool_calls": [call]}


def _shows(template: ChatTemplate) -> Callable[..., bool]:
    def shows(turns: list[Turn], mark: str = "mark", tools: Sequence[Turn] = ()) -> bool:
        try:
            return mark in template.render(turns, tools)
        except InvalidValue:
            return False

    return shows


def _turns(message: Message) -> list[Turn]:
    match message.role:
        case "system":
            return [{"role": "system", "content": _text(message)}]
        case "tool":
            results = [part for part in message.parts if isinstance(part, ToolResult)]
            return [_result(part) for part in results]
        case "user":
            return [{"role": "user", "content": _text(message)}]
        case "assistant":
            return [_assistant(message)]


def _assistant(message: Message) -> Turn:
    turn: Turn = {"role": "assistant", "content": _text(message)}
    if thoughts := "".join(part.text for part in message.parts if isinstance(part, Thinking)):
        turn["reasoning_content"] = thoughts
    if message.tool_uses:
        turn["tool_calls"] = [_call(use) for use in message.tool_uses]
    return turn


def _call(use: ToolUse) -> Turn:
    arguments = arguments_of(use.arguments or "{}")
    return {
        "id": use.id,
        "type": "function",
        "function": {"name": use.name, "arguments": arguments},
    }


def _result(part: ToolResult) -> Turn:
    turn = {"role": "tool", "content": part.text, "tool_call_id": part.tool_use_id}
    return turn | ({"name": part.name} if part.name else {})


def _text(message: Message) -> str:
    if any(isinstance(part, Image) for part in message.parts):
        raise InvalidValue("this engine reads text only, not images", field="messages")
    return "\n".join(part.text for part in message.parts if isinstance(part, Text))


def _placed(turn: Turn, known: Abilities) -> Turn:
    match turn["role"]:
        case "system" if not known.late_system:
            return {"role": "user", "content": turn["content"]}
        case "tool" if not known.tool_role:
            text = f"<tool_response>\n{turn['content']}\n</tool_response>"
            return {"role": "user", "content": text}
        case "assistant" if "tool_calls" in turn:
            return _called(turn, known.calls)
        case _:
            return turn


def _called(turn: Turn, wanted: Calls | None) -> Turn:
    functions = [call["function"] for call in turn["tool_calls"]]
    if wanted is None:
        calls = [f"<tool_call>\n{dumps(each).decode()}\n</tool_call>" for each in functions]
        spoken = {name: turn[name] for name in turn if name != "tool_calls"}
        return spoken | {"content": "\n".join(filter(None, (turn["content"], *calls)))}
    if wanted.as_text:
        texts = [each | {"arguments": _json(each["arguments"])} for each in functions]
        pairs = zip(turn["tool_calls"], texts, strict=True)
        turn = turn | {"tool_calls": [call | {"function": text} for call, text in pairs]}
    return turn | {"content": turn["content"] or wanted.silence}


def _json(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else dumps(arguments).decode()


def _told(tools: Iterable[Turn]) -> Turn:
    """Of a template that passes them over."""
    lines = "\n".join(dumps(tool["function"]).decode() for tool in tools)
    return {"role": "system", "content": _TOLD.format(lines)}


_TOLD = """\
You can call these functions. Each line is one of them, its parameters as a JSON schema:
{}
To call one, write this, with nothing around it, and wait for the result:
<tool_call>
{{"name": "the function's name", "arguments": {{"a parameter": "its value"}}}}
</tool_call>"""


def _tool(tool: Tool) -> Turn:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": function}
