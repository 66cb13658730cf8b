"""Which marks a model puts around its thoughts and its tool calls, seen in its template."""

from mlxk.chat.types import Request
from mlxk.engine.answer import Markup
from mlxk.engine.prompt import offered
from mlxk.engine.tokenizer import TextModel
from mlxk.engine.toolcalls.dialects import choose

_ANALYSIS = "<|channel|>analysis<|message|>"
NOISE = ("<|start|>assistant", "<|channel|>final<|message|>", "<|channel|>commentary<|message|>")

THOUGHTS = (
    (_ANALYSIS, "<|end|>"),
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<longcat_think>", "</longcat_think>"),
)


# Marks between the marks of a call.
_INNER = ("[ARGS]", "[CALL_ID]", "<|constrain|>", "<|message|>", '<|"|>', "<escape>")


def markup(text: TextModel, request: Request) -> Markup:
    """Calls are looked for only where tools were offered: elsewhere the marks are plain text."""
    source = text.template.source if text.template else None
    think = _thoughts(text, source)
    noise = NOISE if think and think[0] == _ANALYSIS else ()
    dialect = choose(source) if offered(request) else None
    is_forced = request.tool_choice.mode in ("required", "named")
    only_calls = is_forced and dialect is not None and dialect.frame is not None
    return Markup(think, dialect, noise, only_calls)


def is_thinking(marks: Markup, prompt: str) -> bool:
    """Some templates end the prompt inside a thought."""
    return marks.think is not None and prompt.rstrip().endswith(marks.think[0])


def hidden(text: TextModel, marks: Markup) -> tuple[int, ...]:
    """Special tokens that are no mark of ours, and so are not part of the text."""
    wanted = [*(marks.think or ()), *marks.noise]
    if (dialect := marks.dialect) is not None:
        # Inside of a call its reader needs to see marks that are nowhere else.
        wanted += [dialect.start, dialect.end]
        wanted += [name for name in text.special.values() if "tool" in name or name in _INNER]
    return tuple(i for i, name in text.special.items() if not any(name in mark for mark in wanted))


def _thoughts(text: TextModel, source: str | None) -> tuple[str, str] | None:
    if source and "<|channel|>" in source and "<|message|>" in source:
        return THOUGHTS[0]
    for opener, closer in THOUGHTS[1:]:
        if (source and opener in source) or text.tokenizer.token_to_id(opener) is not None:
            return opener, closer
    return None
