# ruff: noqa: RUF001 -- as the models write it
"""How calls are written by each family: what a call that must be made has to look like.

The other direction, what a model may have written, is `readers`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pairs:
    """Arguments one by one: what stands before a key, between it and its value, after that.

    A value is JSON by its schema, or bare text where that is a string.
    """

    before: str
    between: str
    after: str


@dataclass(frozen=True, slots=True)
class Frame:
    """`before` NAME `between` ARGUMENTS `after` is a call. Around all calls stand `first` and
    `last`, between two of them `joint`; without one there is only one call. Arguments are a JSON
    object where there are no `pairs`."""

    before: str
    between: str
    after: str
    joint: str | None = None
    first: str = ""
    last: str = ""
    pairs: Pairs | None = None


HERMES = Frame('<tool_call>\n{"name": "', '", "arguments": ', "}\n</tool_call>", joint="\n")
BARE_JSON = Frame('{"name": "', '", "parameters": ', "}", joint="; ")
MISTRAL = Frame("[TOOL_CALLS]", "[ARGS]", "", joint="")
MISTRAL_LIST = Frame(
    '{"name": "', '", "arguments": ', "}", joint=", ", first="[TOOL_CALLS] [", last="]"
)
KIMI = Frame(
    "<|tool_call_begin|>functions.",
    ":0<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    first="<|tool_calls_section_begin|>",
    last="<|tool_calls_section_end|>",
)
HARMONY = Frame("<|channel|>commentary to=functions.", " <|constrain|>json<|message|>", "")
DEEPSEEK_FENCED = Frame(
    "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
    "\n```json\n",
    "\n```<｜tool▁call▁end｜>",
    joint="\n",
    first="<｜tool▁calls▁begin｜>",
    last="<｜tool▁calls▁end｜>",
)
DEEPSEEK = Frame(
    "<｜tool▁call▁begin｜>",
    "<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>",
    joint="",
    first="<｜tool▁calls▁begin｜>",
    last="<｜tool▁calls▁end｜>",
)
FUNCTION_TAGS = Frame(
    "<tool_call>\n<function=",
    ">\n",
    "</function>\n</tool_call>",
    joint="\n",
    pairs=Pairs("<parameter=", ">\n", "\n</parameter>\n"),
)
MINIMAX = Frame(
    '<invoke name="',
    '">\n',
    "</invoke>\n",
    joint="",
    first="<minimax:tool_call>\n",
    last="</minimax:tool_call>",
    pairs=Pairs('<parameter name="', '">', "</parameter>\n"),
)
ATEM = Frame(
    '<atem:invoke name="',
    '">\n',
    "</atem:invoke>\n",
    joint="",
    first="<atem:function_calls>\n",
    last="</atem:function_calls>",
    pairs=Pairs('<atem:parameter name="', '">', "</atem:parameter>\n"),
)
PARAMS = Frame(
    '<function name="',
    '">',
    "</function>",
    joint="\n",
    pairs=Pairs('<param name="', '">', "</param>"),
)
XTML = Frame(
    '<|open|>call tool="',
    '" index="1"<|sep|><|open|>json type="object"<|sep|>',
    "<|close|>json<|sep|><|close|>call<|sep|>",
    first="<|open|>tools<|sep|>",
    last="<|close|>tools<|sep|>",
)


def argument_keys(prefix: str) -> Frame:
    return Frame(
        f"<{prefix}tool_call>",
        "\n",
        f"</{prefix}tool_call>",
        joint="\n",
        pairs=Pairs(
            f"<{prefix}arg_key>",
            f"</{prefix}arg_key>\n<{prefix}arg_value>",
            f"</{prefix}arg_value>\n",
        ),
    )
