"""`mlxk branch export`: a session as one file for other people and other programs. Only reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mlxk.cli.branch import Rev
from mlxk.cli.registry import command

if TYPE_CHECKING:
    from mlxk.history.record import Place

Format = Literal["ndjson", "markdown", "html"]
_FORMATS: dict[str, Format] = {"ndjson": "ndjson", "markdown": "markdown", "html": "html"}
_SUFFIXES: dict[str, Format] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    "": "ndjson",
}


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
    from mlxk.agent import exporting
    from mlxk.cli.branch import open_store
    from mlxk.contract.errors import AlreadyExists, InvalidValue
    from mlxk.history.record import find
    from mlxk.system.files import write_atomic

    chosen = _format(form, file)
    if file is not None and file.is_dir():
        raise InvalidValue(f"{file} is a folder", hint="name a file")
    if file is not None and file.exists() and not force:
        raise AlreadyExists(f"{file} exists", path=str(file), hint="--force replaces it")
    with open_store() as store:
        place = find(store, rev)
        messages = sum(len(said) for said in exporting.said(place).values())
        data = _html(place) if chosen == "html" else exporting.FORMS[chosen](place)
    if file is not None:
        write_atomic(file, data)
    return Exported(
        branch=place.record.branch,
        session=place.record.id,
        step=place.step,
        format=chosen,
        messages=messages,
        size_bytes=len(data),
        file=str(file) if file is not None else None,
        text=None if file is not None else data.decode(),
    )


def _format(form: str | None, file: Path | None) -> Format:
    from mlxk.contract.errors import InvalidValue

    if form is None:
        suffix = file.suffix.lower() if file else ""
        if suffix not in _SUFFIXES:
            known = ", ".join(filter(None, _SUFFIXES))
            raise InvalidValue(f"no format ends in {suffix}", hint=f"{known}, or --format")
        return _SUFFIXES[suffix]
    if form not in _FORMATS:
        raise InvalidValue(f"no format {form!r}", hint=f"one of {', '.join(_FORMATS)}")
    return _FORMATS[form]


def _html(place: "Place") -> bytes:
    from mlxk.web.rendered import rendered

    return rendered(place.record.store, place)
