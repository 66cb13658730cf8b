"""From a request and its prompt to a job for the device: every field checked, every gap filled."""

import secrets

from mlxk.chat.types import Request
from mlxk.contract.errors import ContextLengthExceeded, InvalidValue, MlxkError
from mlxk.engine.markup import is_thinking, markup
from mlxk.engine.policy import policy
from mlxk.engine.prompt import Prompt
from mlxk.engine.protocol import Job
from mlxk.engine.tokenizer import TextModel

_MOST_LOGPROBS = 20
_LONGEST_PREDICTION = 1 << 18


def job_of(request: Request, prompt: Prompt, text: TextModel, context: int) -> Job:
    """`context` is the length that prompt and answer share; an answer is cut to what is left."""
    room = context - len(prompt.ids)
    if room < 1 or not prompt.ids:
        raise _unfit(len(prompt.ids), context)
    rule, after = _rule(request, prompt, text)
    return Job(
        uid=0,
        prompt=prompt.ids,
        made=(),
        max_tokens=min(_checked("max_tokens", request.max_tokens, 1, None) or room, room),
        stop=() if request.ignore_eos and rule is None else text.stop,
        policy=policy(
            request.sampling,
            text.defaults,
            vocabulary=text.vocabulary,
            seed=secrets.randbits(64),
        ),
        grammar=rule,
        grammar_after=after,
        top_logprobs=_checked("top_logprobs", request.top_logprobs, 0, _MOST_LOGPROBS),
        hints=tuple(text.encode((request.prediction or "")[:_LONGEST_PREDICTION])),
        client=request.client,
    )


def _rule(request: Request, prompt: Prompt, text: TextModel) -> tuple[str | None, tuple[int, ...]]:
    """The grammar that the answer must follow, and the tokens after which it must."""
    is_forced = request.tool_choice.mode in ("required", "named")
    if not is_forced and request.response_format.kind == "text":
        return None, ()
    from mlxk.engine.grammar import grammar  # noqa: PLC0415 -- few requests need llguidance

    marks = markup(text, request)
    rule = grammar(request, marks, text, is_thinking=is_thinking(marks, prompt.text))
    return (rule.text, rule.after) if rule else (None, ())


def _checked(name: str, value: int | None, low: int, high: int | None) -> int | None:
    if value is not None and (value < low or (high is not None and value > high)):
        limits = f"at least {low}" if high is None else f"{low} to {high}"
        raise InvalidValue(f"{name} must be {limits}, not {value}", field=name)
    return value


def _unfit(prompt_tokens: int, context: int) -> MlxkError:
    if not prompt_tokens:
        return InvalidValue("the prompt is empty", field="messages")
    return ContextLengthExceeded(
        f"the prompt has {prompt_tokens} tokens, the model's context is {context}",
        prompt_tokens=prompt_tokens,
        context_length=context,
    )
