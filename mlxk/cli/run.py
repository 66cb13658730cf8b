"""`mlxk run`: one question to a local model, or a conversation with it on a terminal."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

import typer

from mlxk.cli import division, guessing
from mlxk.cli.registry import command

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mlxk.chat.types import FinishReason, Usage
    from mlxk.cli.question import Question


@dataclass(frozen=True, slots=True)
class Timings:
    load_s: float | None = None
    ttft_s: float | None = None
    prompt_tps: float | None = None
    generation_tps: float | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """`finish_reason` is null when the answer was interrupted."""

    model: str
    response: str
    finish_reason: "FinishReason | None"
    usage: "Usage"
    timings: Timings


@dataclass(frozen=True, slots=True)
class Said:
    """One piece of an answer, as `--events` shows it."""

    type: Literal["text", "thinking"]
    text: str


def _answer_text(value: Answered, arguments: dict[str, Any]) -> str:
    """What was streamed is on the screen already."""
    return value.response if arguments["no_stream"] else ""


def _live(out: TextIO | None, err: TextIO) -> "Callable[[Said], None]":
    from mlxk.system.files import translated
    from mlxk.system.terminal import shown

    def show(event: Said) -> None:
        if out is not None and event.type == "text":
            with translated(Path("the answer")):  # it is no progress that may be lost
                out.write(shown(event.text, out))
                out.flush()

    return show


@command("run", _answer_text, live=_live)
def run(
    model: Annotated[str, typer.Argument(help="A model: its name, a folder, builtin:tiny.")],
    prompt: Annotated[
        str | None, typer.Argument(help="The question; `-` or a pipe reads standard input.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="System prompt.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=100, help="0 is greedy.")] = None,
    top_p: Annotated[float | None, typer.Option(min=0, max=1, help="Nucleus sampling.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same answer.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End before this text.")] = None,
    no_stream: Annotated[
        bool, typer.Option("--no-stream", help="Print the answer when it is complete.")
    ] = False,
    schema: Annotated[
        Path | None, typer.Option(help="Answer with JSON that obeys this JSON schema.")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="A picture that belongs to the question.")
    ] = None,
    draft: guessing.Draft = "auto",
    ranks: division.Ranks = None,
    hostfile: division.Hostfile = None,
    backend: division.Backend = None,
) -> "Generator[Said, None, Answered]":
    """Ask a model; without a question, on a terminal, chat with it.

    A running `mlxk serve` that has the model answers; else it is loaded for this question.

    mlxk run mlx-community/Qwen3-4B-4bit "What is a monad?"

    git diff | mlxk run Qwen3-4B-4bit - --system "Review this diff." --json | jq -r .data.response
    """
    from mlxk.chat.types import Sampling
    from mlxk.cli.question import Question, read_image, read_schema
    from mlxk.engine import named
    from mlxk.engine.options import EngineOptions
    from mlxk.engine.ranks import divided

    question = Question(
        model=model,
        prompt=_prompt(prompt),
        system=system,
        max_tokens=max_tokens,
        sampling=Sampling(temperature=temperature, top_p=top_p, seed=seed),
        stop=tuple(stop or ()),
        schema=read_schema(schema) if schema else None,
        stream=not no_stream,
        images=tuple(read_image(path) for path in image or ()),
        options=EngineOptions(ranks=divided(ranks, hostfile, backend), draft=named.draft(draft)),
    )
    if question.prompt is None:
        from mlxk.cli.chat import chat

        return (yield from chat(question))
    return (yield from _carry_out(question))


def _carry_out(question: "Question") -> "Generator[Said, None, Answered]":
    from mlxk.chat.types import TextDelta, ThinkingDelta
    from mlxk.cli.drive import drive
    from mlxk.cli.question import Answering
    from mlxk.contract.errors import Interrupted

    answering = Answering(question)
    try:
        for event in drive(answering.stream()):
            match event:
                case TextDelta(text) if question.stream:
                    yield Said("text", text)
                case ThinkingDelta(text) if question.stream:
                    yield Said("thinking", text)
        if question.stream:
            yield Said("text", "\n")
    except KeyboardInterrupt as e:
        code = 143 if type(e) is not KeyboardInterrupt else 130
        data = answering.answer if answering.began else None
        raise Interrupted("interrupted", data=data, exit_code=code) from None
    return answering.checked()


def _prompt(prompt: str | None) -> str | None:
    """The question, or None for a chat on a terminal."""
    from mlxk.cli import words
    from mlxk.cli.options import take_options
    from mlxk.contract import encoding
    from mlxk.contract.errors import UsageError

    if prompt in (None, "-"):
        if prompt is None and words.is_terminal():
            if take_options(sys.argv[1:], os.environ)[0].json or not sys.stdout.isatty():
                raise UsageError("nothing to ask: give a prompt", hint='mlxk run MODEL "…"')
            return None
        prompt = words.standard_input()
    if not (prompt or "").strip():
        raise UsageError("the prompt is empty", hint='mlxk run MODEL "…"')
    return encoding.valid(prompt or "")
