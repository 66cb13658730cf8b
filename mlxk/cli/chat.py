"""`mlxk run MODEL` on a terminal: a conversation, line by line."""

import signal
import sys
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace

from mlxk.chat.fold import Fold
from mlxk.chat.types import Event, Message, Text, TextDelta, ThinkingDelta, Usage
from mlxk.cli.answerer import answerer
from mlxk.cli.portal import Portal
from mlxk.cli.question import Question
from mlxk.cli.run import Answered, Said, Timings
from mlxk.contract.errors import ContextLengthExceeded, MlxkError
from mlxk.system.terminal import shown

_HELP = """\
/clear forgets the conversation, /exit (or Ctrl-D) ends it, Ctrl-C ends an answer.
A line that ends in \\ goes on; a line of \"\"\" begins and ends a longer text."""


def chat(question: Question) -> Generator[Said, None, Answered]:
    """Everything is shown as it comes: the value holds the measures of the last answer only."""
    history: list[Message] = []
    answer = Answered(question.model, "", None, Usage(), Timings())
    with Portal() as portal:
        who = portal.enter(answerer(question.model, question.options))
        question = replace(question, model=who.name)
        answer = replace(answer, model=who.name, timings=Timings(who.load_s))
        where = f" at {who.url}" if who.url else ""
        sys.stderr.write(f"{who.name}{where}: /help says what can be typed here.\n")
        for line in _lines():
            match line.strip():
                case "/exit" | "/quit" | "/bye":
                    break
                case "/help":
                    sys.stderr.write(f"{_HELP}\n")
                case "/clear":
                    history.clear()
                case text if text:
                    asked, fold = Message("user", (Text(line),)), Fold()
                    events = who.model.stream(question.request(*history, asked))
                    refused = yield from _turn(portal, events, fold)
                    if refused is None:
                        history += [asked, Message("assistant", fold.message.parts)]
                        answer = _answered(answer, fold)
                    elif who.is_gone():
                        raise refused
                    else:
                        _tell(refused, history)
    return answer


def _turn(
    portal: Portal, events: AsyncGenerator[Event, None], fold: Fold
) -> Generator[Said, None, MlxkError | None]:
    """A question that is not answered, or not to the end, is taken back: its error is returned."""
    refused = None
    try:
        with _ctrl_c(portal), suppress(CancelledError):
            for event in portal.stream(events):
                fold.feed(event)
                match event:
                    case TextDelta(text):
                        yield Said("text", text)
                    case ThinkingDelta(text):
                        yield Said("thinking", text)
    except MlxkError as e:
        refused = e
    if refused is None or fold.message.parts:
        yield Said("text", "\n")
    return refused


def _tell(refused: MlxkError, history: Sequence[Message]) -> None:
    hint = refused.hint
    if isinstance(refused, ContextLengthExceeded) and history:
        hint = "/clear forgets the conversation"
    sys.stderr.write(shown(f"mlxk: {refused}\n", sys.stderr))
    if hint:
        sys.stderr.write(shown(f"hint: {hint}\n", sys.stderr))


@contextmanager
def _ctrl_c(portal: Portal) -> Iterator[None]:
    """Here Ctrl-C ends the answer, not the program."""
    before = signal.signal(signal.SIGINT, lambda *_: portal.stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _lines() -> Iterator[str]:
    """What the user types, until Ctrl-D or a Ctrl-C at the prompt."""
    with suppress(ImportError):
        import readline  # noqa: F401  -- gives input() its editing and its history
    while True:
        try:
            yield _entry()
        except (EOFError, KeyboardInterrupt):
            sys.stderr.write("\n")
            return


def _entry() -> str:
    line = input("> ")
    if line.strip() == '"""':
        lines: list[str] = []
        while (line := input("… ")).strip() != '"""':
            lines.append(line)
        return "\n".join(lines)
    while line.endswith("\\"):
        line = f"{line[:-1]}\n{input('… ')}"
    return line


def _answered(before: Answered, fold: Fold) -> Answered:
    end = fold.finish
    return replace(
        before,
        finish_reason=end.reason if end else None,
        usage=end.usage if end else Usage(),
    )
