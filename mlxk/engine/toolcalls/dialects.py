"""How model families write a tool call: a table of marks, readers and clues. Knows no families."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from mlxk.engine.toolcalls import frames, readers
from mlxk.engine.toolcalls.frames import Frame
from mlxk.engine.toolcalls.readers import Reader
from mlxk.engine.toolcalls.values import ends_in_string

# Letters within which a call's name stands.
_NAMED = 200

Peek = Callable[[str], str | None]
Inside = Callable[[str], bool]


def _peek(pattern: str) -> Peek:
    compiled = re.compile(pattern)

    def peek(body: str) -> str | None:
        found = compiled.match(body)
        return found[1].strip() if found else None

    return peek


def _blind(_body: str) -> None:
    return None


def _never(_body: str) -> bool:
    return False


def _within(opening: str, closing: str) -> Inside:
    """After an opening mark that has not been closed."""

    def is_within(body: str) -> bool:
        return body.rfind(opening) > body.rfind(closing)

    return is_within


def _odd(mark: str) -> Inside:
    """After a mark that stands on both sides of a text."""
    return lambda body: bool(body.count(mark) % 2)


def _in_parameter(body: str) -> bool:
    """Some models leave the closing tag of the last parameter out."""
    if body.lstrip().startswith("{"):
        return ends_in_string(body)
    return _PARAMETER(body) and not body.rstrip().endswith("</function>")


_PARAMETER = _within("<parameter=", "</parameter>")


def _in_argument(prefix: str) -> Inside:
    value = _within(f"<{prefix}arg_value>", f"</{prefix}arg_value>")
    return lambda body: ends_in_string(body) if body.lstrip().startswith("{") else value(body)


def _in_param(body: str) -> bool:
    return _PARAM(body) or _CDATA(body)


_PARAM = _within("<param name=", "</param>")
_CDATA = _within("<![CDATA[", "]]>")


@dataclass(frozen=True, slots=True)
class Dialect:
    """`clues` in a chat template, all of them, say that a model was taught this one.

    An empty `end` means that calls go on to the end of the answer. `read` takes a whole body;
    `peek` sees the name in the beginning of one, once it is complete. `frame` is how a call that
    must be made is written; None where a grammar cannot say it. `is_inside` tells whether a body
    stops within a value: an end mark there is a part of it.
    """

    name: str
    clues: tuple[str, ...]
    start: str
    end: str
    read: Reader
    peek: Peek = _blind
    frame: Frame | None = None
    is_inside: Inside = ends_in_string

    def cut(self, text: str, since: int = 0) -> tuple[str, str, str]:
        """The body of a call, the end mark, and what follows; no mark while the call goes on.
        Before `since` there is none."""
        at = text.find(self.end, since) if self.end else -1
        while at >= 0 and self.is_inside(text[:at]):
            at = text.find(self.end, at + 1)
        return (text, "", "") if at < 0 else (text[:at], self.end, text[at + len(self.end) :])

    def may_end(self, text: str) -> bool:
        """`text`, which begins with a start mark, is nothing but calls so far; a call soon says
        its name."""
        while text.startswith(self.start):
            body, end, rest = self.cut(text[len(self.start) :])
            if len(body) > _NAMED and self.peek is not _blind and not self.peek(body[:_NAMED]):
                return False
            text = rest.lstrip()
            if not end or self.start.startswith(text):
                return True
        return False


def choose(
    template: str, has_token: Callable[[str], bool] = _never, parser: str | None = None
) -> Dialect:
    """The dialect that mlx-lm's name for it says, or the first whose clues the template holds, or
    else the vocabulary; Hermes JSON is what most others know."""
    if (name := _PARSERS.get(parser or "")) is not None:
        return next(dialect for dialect in DIALECTS if dialect.name == name)
    for holds in (template.__contains__, has_token):
        for dialect in DIALECTS:
            if all(map(holds, dialect.clues)):
                return dialect
    return HERMES


# As converted folders name them. Mistral's two are told apart by the template.
_PARSERS = {
    **{name: name for name in ("function_gemma", "gemma4", "longcat", "pythonic", "muse_spark")},
    "glm47": "glm",
    "json_tools": "hermes",
    "kimi_k2": "kimi",
    "kimi_k3": "kimi_xtml",
    "laguna": "glm",
    "minicpm5": "minicpm",
    "minimax_m2": "minimax",
    "qwen3_coder": "function_tags",
}


HERMES = Dialect(
    "hermes",
    ("<tool_call>",),
    "<tool_call>",
    "</tool_call>",
    readers.hermes,
    _peek(r'\s*\{\s*"name"\s*:\s*"([^"\\]+)"'),
    frames.HERMES,
)

DIALECTS = (
    Dialect(
        "minimax",
        ("<minimax:tool_call>",),
        "<minimax:tool_call>",
        "</minimax:tool_call>",
        readers.invocations,
        _peek(r"\s*<invoke name=\"([^\">]+)\">"),
        frames.MINIMAX,
        is_inside=_within("<parameter name=", "</parameter>"),
    ),
    Dialect(
        "gemma4",
        ("<|tool_call>", "<tool_call|>"),
        "<|tool_call>",
        "<tool_call|>",
        readers.gemma('<|"|>'),
        _peek(r"\s*call:([\w.-]+)\{"),
        is_inside=_odd('<|"|>'),
    ),
    Dialect(
        "function_gemma",
        ("<start_function_call>",),
        "<start_function_call>",
        "<end_function_call>",
        readers.gemma("<escape>"),
        _peek(r"\s*call:([\w.-]+)\{"),
        is_inside=_odd("<escape>"),
    ),
    Dialect(
        "longcat",
        ("<longcat_tool_call>",),
        "<longcat_tool_call>",
        "</longcat_tool_call>",
        readers.argument_keys("longcat_"),
        _peek(r"\s*([\w.-]+)\s*<longcat_arg_key>"),
        frames.argument_keys("longcat_"),
        is_inside=_in_argument("longcat_"),
    ),
    Dialect(
        "glm",
        ("<arg_key>",),
        "<tool_call>",
        "</tool_call>",
        readers.argument_keys(""),
        _peek(r"\s*([\w.-]+)\s*<arg_key>"),
        frames.argument_keys(""),
        is_inside=_in_argument(""),
    ),
    Dialect(
        "pythonic",
        ("<|tool_call_start|>",),
        "<|tool_call_start|>",
        "<|tool_call_end|>",
        readers.pythonic,
        _peek(r"\s*\[([\w.]+)\("),
        is_inside=_never,
    ),
    Dialect(
        "function_tags",
        ("<function=",),
        "<tool_call>",
        "</tool_call>",
        readers.function_tags,
        _peek(r"\s*<function=([^<>\n]+)>"),
        frames.FUNCTION_TAGS,
        is_inside=_in_parameter,
    ),
    Dialect(
        "kimi",
        ("<|tool_calls_section_begin|>",),
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
        readers.headed(
            r"<\|tool_call_begin\|>\s*(?:functions\.)?([\w.-]+?)(?::\d+)?\s*"
            r"<\|tool_call_argument_begin\|>",
            end="<|tool_call_end|>",
        ),
        frame=frames.KIMI,
    ),
    Dialect(
        "deepseek_fenced",
        (frames.DEEPSEEK.first, "```json"),
        frames.DEEPSEEK.first,
        frames.DEEPSEEK.last,
        readers.deepseek,
        frame=frames.DEEPSEEK_FENCED,
    ),
    Dialect(
        "deepseek",
        (frames.DEEPSEEK.first,),
        frames.DEEPSEEK.first,
        frames.DEEPSEEK.last,
        readers.deepseek,
        frame=frames.DEEPSEEK,
    ),
    Dialect(
        "harmony",
        ("<|channel|>", "functions."),
        "<|channel|>commentary to=functions.",
        "<|call|>",
        readers.headed(r"^([\w.-]++)[^{]*?<\|message\|>"),
        _peek(r"([\w.-]+)[^\w.-]"),
        frames.HARMONY,
    ),
    Dialect(
        "muse_spark",
        (frames.ATEM.last,),
        "<atem:function_calls>",
        frames.ATEM.last,
        readers.atem,
        _peek(r"\s*<atem:invoke\b[^>]*?\bname=\"([^\">]+)\">"),
        frames.ATEM,
        is_inside=_within("<atem:parameter", "</atem:parameter>"),
    ),
    Dialect(
        "minicpm",
        (frames.PARAMS.before, '<param name="'),
        frames.PARAMS.before,
        frames.PARAMS.after,
        readers.params,
        _peek(r"([^<>\"]+)\">"),
        frames.PARAMS,
        is_inside=_in_param,
    ),
    Dialect(
        "kimi_xtml",
        ("<|open|>", "<|sep|>", "<|close|>"),
        frames.XTML.first,
        frames.XTML.last,
        readers.xtml,
        frame=frames.XTML,
        is_inside=_never,
    ),
    Dialect(
        "mistral",
        ("[TOOL_CALLS]", "[ARGS]"),
        "[TOOL_CALLS]",
        "",
        readers.mistral,
        frame=frames.MISTRAL,
    ),
    Dialect(
        "mistral_list",
        ("[TOOL_CALLS]",),
        "[TOOL_CALLS]",
        "",
        readers.mistral,
        frame=frames.MISTRAL_LIST,
    ),
    HERMES,
    Dialect(
        "bare_json",
        ('{"name":', '"parameters"'),
        '{"name"',
        "",
        readers.bare_json,
        frame=frames.BARE_JSON,
    ),
)
