"""`mlxk branch export`: a session as one file for other people and other programs. Only reads."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mlxk.cli.branch import Rev
from mlxk.cli.registry import command

if TYPE_CHECKING:
    from mlxk.chat.types import Message
    from mlxk.history.record import Place

FORMAT = 1
Format = Literal["ndjson", "markdown", "html"]
_FORMATS: dict[str, Format] = {"ndjson": "ndjson", "markdown": "markdown", "html": "html"}
_SUFFIXES: dict[str, Format] = {".md": "markdown", ".markdown": "markdown", ".html": "html"}


@dataclass(frozen=True, slots=True)
class Exported:
    """The export is in `file`, or in `text` when no file was named."""

    branch: str
    session: str
    step: int
    format: Format
    messages: int
    size_bytes: int
    file: str | None
    text: str | None


def _told(value: Exported, _: dict[str, Any]) -> str:
    from mlxk.agent.tools.base import plural

    if value.file is None:
        return (value.text or "").rstrip("\n")
    return f"{value.file} holds {value.branch}, {plural(value.messages, 'message')}"


@command("branch export", _told)
def branch_export(
    rev: Rev,
    file: Annotated[
        Path | None, typer.Argument(help="Where to; standard output without it.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="ndjson, markdown or html; default: by the file's name, ndjson."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> Exported:
    """Write a session down for other people: what was said, called and changed, step by step.

    NDJSON loses nothing; Markdown and HTML are for reading. Keys that a tool printed were masked
    before they were recorded.

    mlxk branch export create-a-file session.md

    mlxk branch export create-a-file | jq -r 'select(.type == "message").role'
    """
    from mlxk.agent.transcript import from_lines
    from mlxk.cli.branch import open_store
    from mlxk.contract.errors import AlreadyExists
    from mlxk.history.record import find
    from mlxk.system.files import write_atomic

    chosen = _format(form, file)
    if file is not None and file.exists() and not force:
        raise AlreadyExists(f"{file} exists", path=str(file), hint="--force replaces it")
    with open_store() as store:
        place = find(store, rev)
        said = {step: from_lines(lines) for step, lines in place.lines_by_step()}
        render = {"ndjson": _ndjson, "markdown": _markdown, "html": _html}[chosen]
        data = b"".join(render(place, said))
    if file is not None:
        write_atomic(file, data)
    return Exported(
        branch=place.record.branch,
        session=place.record.id,
        step=place.step,
        format=chosen,
        messages=sum(map(len, said.values())),
        size_bytes=len(data),
        file=str(file) if file is not None else None,
        text=None if file is not None else data.decode(),
    )


_Said = dict[int, "tuple[Message, ...]"]


def _format(form: str | None, file: Path | None) -> Format:
    from mlxk.contract.errors import InvalidValue

    if form is None:
        return _SUFFIXES.get(file.suffix.lower(), "ndjson") if file else "ndjson"
    if form not in _FORMATS:
        raise InvalidValue(f"no format {form!r}", hint=f"one of {', '.join(_FORMATS)}")
    return _FORMATS[form]


def _ndjson(place: "Place", said: _Said) -> Iterator[bytes]:
    """`session`, then of each step: `step`, and its `message`s as they were recorded."""
    from mlxk.agent.transcript import to_lines
    from mlxk.cli.branch import step_info
    from mlxk.contract.encoding import dumps, loads

    record = place.record
    head = {
        "type": "session",
        "format": FORMAT,
        "session": record.id,
        "branch": record.branch,
        "base": record.base,
        "head": place.code,
        "parent": record.parent,
        "fork_step": record.parent_step,
        "settings": loads(place.meta()),
    }
    yield dumps(head, newline=True)
    for step in record.steps():
        if step.number > place.step:
            break
        yield dumps({"type": "step", **asdict(step_info(step))}, newline=True)
        for message in said.get(step.number, ()):
            line = loads(to_lines((message,)))
            yield dumps({"type": "message", "step": step.number, **line}, newline=True)


def _html(place: "Place", _: _Said) -> Iterator[bytes]:
    from mlxk.web.rendered import rendered

    yield rendered(place.record.store, place)


def _markdown(place: "Place", said: _Said) -> Iterator[bytes]:
    from mlxk.cli.tables import file_changes
    from mlxk.contract.encoding import loads, valid
    from mlxk.history.diff import changes
    from mlxk.system.clock import stamp

    record = place.record
    settings = loads(place.meta())
    facts = f"Session {record.id} with {settings.get('model')}, {stamp(record.when)}, "
    facts += f"from {record.base[:12]} to {place.code[:12]}."
    pieces = [f"# {record.branch}", facts]
    for step in sorted(said):
        for message in said[step]:
            pieces += _said_in(message, step)
    files = changes(record.store, record.base, place.code)
    if files:
        pieces += ["## Files", _fenced(file_changes(files))]
    yield (valid("\n\n".join(pieces)) + "\n").encode()


def _said_in(message: "Message", step: int) -> Iterator[str]:
    from mlxk.chat.types import Text, Thinking, ToolResult, ToolUse

    yield f"## {step}. {message.role}"
    for part in message.parts:
        match part:
            case Text():
                yield part.text
            case Thinking():
                yield "Thinking:\n\n" + _fenced(part.text)
            case ToolUse():
                yield f"Calls {part.name}:\n\n" + _fenced(part.arguments, "json")
            case ToolResult():
                failed = " failed" if part.is_error else ""
                yield f"{part.name or 'The call'}{failed}:\n\n" + _fenced(part.text)
            case _:
                yield "(an image)"


def _fenced(text: str, language: str = "") -> str:
    """In a fence longer than any that the text holds."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
