"""The vocabulary of a conversation: pure values. Identity and storage live elsewhere."""

from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_use", "content_filter"]


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning before the answer. `signature` is a provider's own, echoed unread."""

    text: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """Base64 `data` with its media type, or a `url`."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """`arguments` is the JSON text as the model wrote it: it may be invalid."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    tool_use_id: str
    text: str
    is_error: bool = False
    name: str | None = None


Part = Text | Thinking | Image | ToolUse | ToolResult


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of one role. Tool results are a message of role `tool`."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def tool_uses(self) -> tuple[ToolUse, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolUse))


@dataclass(frozen=True, slots=True)
class Tool:
    """What a model may call; `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`named` goes with a `name`; `required` means some tool, whichever."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """Constrain the answer; `schema` goes with json_schema, `pattern` with regex."""

    kind: Literal["text", "json_object", "json_schema", "regex"] = "text"
    schema: dict[str, Any] | None = None
    pattern: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """None means the model's own default. `temperature` 0 is greedy."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """`top_logprobs` None means no log-probabilities; `extra` is provider data, echoed unread.

    `ignore_eos`: the answer goes on to `max_tokens`, for measurements. `effort` is how much to
    think, in words; `template_options` are for the model's own chat template. `prediction`: what
    much of the answer will be, as far as the asker knows; it then comes sooner, and is the same.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    response_format: ResponseFormat = ResponseFormat()
    top_logprobs: int | None = None
    thinking: bool | None = None
    ignore_eos: bool = False
    prediction: str | None = None
    effort: str | None = None
    template_options: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    # Not what is asked: whoever asks less does not wait for whoever asks more.
    client: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Predicted:
    """Tokens that were guessed with the help of a prediction, and held or did not."""

    accepted_tokens: int
    rejected_tokens: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. `prompt_tokens` includes the `cached_tokens`, `completion_tokens` those of
    thoughts."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    predicted: Predicted | None = None
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Start:
    """`id` is bare: each wire format writes a prefix of its own before it."""

    id: str
    model: str


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token's natural logarithm of its probability, and the likeliest at its place.

    A token is the bytes that it writes: they need not be whole characters.
    """

    token: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """`logprobs`, when asked for, are of the tokens since the delta before; the text of a token
    may be in a later delta than its log-probability is close to."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    text: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolUseStart:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolUseDelta:
    """The next piece of the arguments of the call that started last."""

    arguments: str


@dataclass(frozen=True, slots=True)
class Finish:
    """`stop` is the stop string that was met, if any.

    `made_s` is from the first token made to the last, where that is known: what is said may be
    held back and be sent all at once.
    """

    reason: FinishReason
    usage: Usage
    stop: str | None = None
    made_s: float | None = field(default=None, compare=False)


Event = Start | TextDelta | ThinkingDelta | ToolUseStart | ToolUseDelta | Finish
