"""What stands between the marks of a call, read: one function for each way of writing it.

A reader returns no calls where it sees none; it never raises. Values that were not written as
JSON are text here and get their types from the tool's schema.
"""

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mlxk.engine.toolcalls.values import first_value, literal, objects, value_of


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it was written; `arguments` is a JSON value, or text where it was not JSON."""

    name: str
    arguments: Any


Reader = Callable[[str], tuple[Call, ...]]


def hermes(body: str) -> tuple[Call, ...]:
    """`{"name": ..., "arguments": {...}}`, or a list of them."""
    value = value_of(body)
    if isinstance(value, list):
        return tuple(call for item in value for call in _from_object(item))
    return tuple(_from_object(value)) or _from_broken(body)


def function_tags(body: str) -> tuple[Call, ...]:
    """`<function=NAME><parameter=KEY>VALUE</parameter></function>`."""
    return _tagged(body, _FUNCTION, _PARAMETER) or hermes(body)


def invocations(body: str) -> tuple[Call, ...]:
    """`<invoke name="NAME"><parameter name="KEY">VALUE</parameter></invoke>`."""
    return _tagged(body, _INVOKE, _NAMED_PARAMETER)


def atem(body: str) -> tuple[Call, ...]:
    """The same with a prefix to each tag, and perhaps other attributes before the name."""
    return _tagged(body, _ATEM_INVOKE, _ATEM_PARAMETER)


def params(body: str) -> tuple[Call, ...]:
    """`NAME"><param name="KEY">VALUE</param>`: the mark ends before the name."""
    return _tagged(body, _PARAMS, _PARAM)


def xtml(body: str) -> tuple[Call, ...]:
    """Calls in tags of `<|open|>`, `<|sep|>` and `<|close|>`, arguments one by one or as JSON."""
    return tuple(Call(name, _xtml_arguments(inner)) for name, inner in _XTML_CALL.findall(body))


def argument_keys(prefix: str) -> Reader:
    """`NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>`, with a prefix to `arg`."""
    pair = re.compile(
        rf"<{prefix}arg_key>([^<]*)</{prefix}arg_key>\s*<{prefix}arg_value>(.*?)</{prefix}arg_value>"
        rf"(?=\s*(?:<{prefix}arg_key>|\Z))",
        re.DOTALL,
    )

    def read(body: str) -> tuple[Call, ...]:
        if body.lstrip().startswith("{"):
            return hermes(body)
        name = body.partition(f"<{prefix}arg_key>")[0].strip()
        arguments = {key.strip(): _unpadded(value) for key, value in pair.findall(body)}
        return (Call(name, arguments),) if re.fullmatch(r"[\w.-]+", name) else ()

    return read


def headed(pattern: str, *, end: str = "") -> Reader:
    """A header with the name, then one JSON value; again and again. `end` may close a value."""
    header = re.compile(pattern, re.DOTALL)

    def read(body: str) -> tuple[Call, ...]:
        found = list(header.finditer(body))
        ends = [*(each.start() for each in found[1:]), len(body)][: len(found)]
        return tuple(
            Call(each[1].strip(), _value(body[each.end() : at], end))
            for each, at in zip(found, ends, strict=True)
        )

    return read


def mistral(body: str) -> tuple[Call, ...]:
    """A JSON list of calls, or `NAME[ARGS]{...}` with an optional id before `[ARGS]`."""
    if isinstance(value := value_of(body), list):
        return tuple(call for item in value for call in _from_object(item))
    return _MISTRAL(body)


def bare_json(body: str) -> tuple[Call, ...]:
    """The mark of this one is the beginning of the JSON itself."""
    return tuple(
        call for line in objects('{"name"' + body) for call in _from_object(value_of(line))
    )


def pythonic(body: str) -> tuple[Call, ...]:
    """`[f(a="x", b=2), g()]`."""
    tree = _tree(body.strip()) or _tree(body.strip().replace("\n", "\\n"))
    items = tree.elts if isinstance(tree, ast.List) else [tree]
    return tuple(call for item in items for call in _from_python(item))


def gemma(mark: str) -> Reader:
    """`call:NAME{key:VALUE,...}` where `mark` stands on both sides of a text."""
    text = re.compile(re.escape(mark) + "(.*?)" + re.escape(mark), re.DOTALL)

    def read(body: str) -> tuple[Call, ...]:
        texts: list[str] = []

        def put_aside(match: re.Match[str]) -> str:
            texts.append(match[1])
            return f'"\\u0000{len(texts) - 1}"'

        def put_back(match: re.Match[str]) -> str:
            return f"{mark}{texts[int(match[1])]}{mark}"

        bare, at = text.sub(put_aside, body), 0
        calls = []
        while head := _GEMMA_CALL.search(bare, at):
            written = next(iter(objects(bare[head.end() :])), None)
            if written is None:
                break
            at = head.end() + len(written)
            value = value_of(_GEMMA_WORD.sub(r'\1"\2"', _GEMMA_KEY.sub(r'\1"\2":', written)))
            if isinstance(value, dict):
                calls.append(Call(head[1], _with_texts(value, texts)))
            else:
                calls.append(Call(head[1], _GEMMA_ASIDE.sub(put_back, written)))
        return tuple(calls)

    return read


_NAME = re.compile(r'"name"\s*:\s*"([^"\\]+)"')
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:\s*')
_GEMMA_CALL = re.compile(r"call:([\w.-]+)(?=\{)")
_GEMMA_KEY = re.compile(r"([{,]\s*)([\w-]+)\s*:")
_GEMMA_WORD = re.compile(r"([:\[,]\s*)(?!(?:true|false|null)\b)([A-Za-z_][^\"{}\[\],:]*)(?=[,}\]])")
_GEMMA_ASIDE = re.compile(r'"\\u0000(\d+)"')
# A value may hold what closes it: only what the format goes on with after that makes it the end.
_FUNCTION = re.compile(
    r"<function=([^>\n]+)>(.*?)(?:</function>(?=\s*(?:<function=|\Z))|\Z)", re.DOTALL
)
_PARAMETER = re.compile(
    r"<parameter=([^>\n]+)>(.*?)"
    r"(?:</parameter>(?=\s*(?:<parameter=|\Z))|(?=<parameter=)|\Z)",
    re.DOTALL,
)
_INVOKE = re.compile(
    r"<invoke name=[\"']?([^>\"']+)[\"']?>(.*?)(?:</invoke>(?=\s*(?:<invoke|\Z))|\Z)", re.DOTALL
)
_NAMED_PARAMETER = re.compile(
    r"<parameter name=[\"']?([^>\"']+)[\"']?[^>]*>(.*?)</parameter>(?=\s*(?:<parameter|\Z))",
    re.DOTALL,
)
# From the beginning of a word only: an argument may be one of many thousand letters.
_MISTRAL = headed(r"(?<![\w.-])([\w.-]++)\s*(?:\[CALL_ID\][\w-]*)?\[ARGS\]", end="[TOOL_CALLS]")
deepseek = headed(
    r"<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?"  # noqa: RUF001 -- the model's own characters
    r"([\w.-]+)\s*(?:<｜tool▁sep｜>)?",  # noqa: RUF001
    end="<｜tool▁call▁end｜>",  # noqa: RUF001
)
_ATEM_INVOKE = re.compile(
    r"<atem:invoke\b[^>]*?\bname=\"([^\">]+)\">(.*?)"
    r"(?:</atem:invoke>(?=\s*(?:<atem:invoke|\Z))|\Z)",
    re.DOTALL,
)
_ATEM_PARAMETER = re.compile(
    r"<atem:parameter\b[^>]*?\bname=\"([^\">]+)\"[^>]*>(.*?)</atem:parameter>"
    r"(?=\s*(?:<atem:parameter|\Z))",
    re.DOTALL,
)
_PARAMS = re.compile(r"\A([^<>\"]+)\">(.*)\Z", re.DOTALL)
_PARAM = re.compile(
    r"<param name=\"([^\">]+)\">\s*(?:<!\[CDATA\[)?(.*?)(?:\]\]>)?\s*</param>(?=\s*(?:<param|\Z))",
    re.DOTALL,
)
_XTML_CALL = re.compile(
    r"<\|open\|>call [^<]*?tool=\"([^\"]+)\"[^<]*<\|sep\|>(.*?)(?:<\|close\|>call<\|sep\|>|\Z)",
    re.DOTALL,
)
_XTML_ARGUMENT = re.compile(
    r"<\|open\|>argument [^<]*?key=\"([^\"]+)\"[^<]*<\|sep\|>(.*?)<\|close\|>argument<\|sep\|>",
    re.DOTALL,
)
_XTML_JSON = re.compile(
    r"<\|open\|>json[^<]*<\|sep\|>(.*?)(?:<\|close\|>json<\|sep\|>|\Z)", re.DOTALL
)


def _xtml_arguments(body: str) -> Any:
    if (found := _XTML_JSON.search(body)) is not None:
        return _value(found[1], "")
    return dict(_XTML_ARGUMENT.findall(body))


def _from_object(value: Any) -> Iterable[Call]:
    if isinstance(value, dict) and isinstance(inside := value.get("function"), dict):
        value = inside
    if isinstance(value, dict) and isinstance(
        name := value.get("name", value.get("function")), str
    ):
        arguments = value.get("arguments", value.get("parameters"))
        inner = value_of(arguments) if isinstance(arguments, str) else arguments or {}
        yield Call(name, arguments if inner is None else inner)


def _from_broken(body: str) -> tuple[Call, ...]:
    """Not JSON: the name if one can be seen, and its arguments, as text for the agent to answer
    if it is they that are broken."""
    if (name := _NAME.search(body)) is None:
        return ()
    start = _ARGUMENTS.search(body)
    rest = body[start.end() :].strip() if start else ""
    whole = first_value(rest)
    return (Call(name[1], whole if isinstance(whole, dict) else rest),)


def _tagged(body: str, function: re.Pattern[str], parameter: re.Pattern[str]) -> tuple[Call, ...]:
    return tuple(
        Call(
            name.strip(), {key.strip(): _unpadded(value) for key, value in parameter.findall(inner)}
        )
        for name, inner in function.findall(body)
    )


def _unpadded(value: str) -> str:
    """One newline after the opening tag and one before the closing belong to the format."""
    return value.removeprefix("\n").removesuffix("\n")


def _value(text: str, end: str) -> Any:
    """A JSON value, perhaps in a code fence; the text itself where it is none."""
    text = text.partition(end)[0] if end else text
    text = text.strip().removeprefix("```json").removesuffix("```").strip()
    value = value_of(text or "{}")
    return text if value is None else value


def _from_python(node: ast.expr | None) -> Iterable[Call]:
    if isinstance(node, ast.Call):
        arguments = {word.arg: _argument(word.value) for word in node.keywords if word.arg}
        yield Call(ast.unparse(node.func), arguments)


def _argument(node: ast.expr) -> Any:
    try:
        return literal(node)
    except ValueError:
        return ast.unparse(node)


def _tree(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _with_texts(value: Any, texts: list[str]) -> Any:
    match value:
        case str() if value.startswith("\0"):
            return texts[int(value[1:])]
        case dict():
            return {key: _with_texts(item, texts) for key, item in value.items()}
        case list():
            return [_with_texts(item, texts) for item in value]
        case _:
            return value
