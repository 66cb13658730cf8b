"""A session as one HTML file for people: no script, nothing from elsewhere. Only reads."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from itertools import groupby, pairwise
from pathlib import Path

from mlxk.chat.types import ToolUse
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument
from mlxk.history.record import Place
from mlxk.history.store import Store
from mlxk.web.conversation import (
    Compared,
    Conversation,
    FileRows,
    Line,
    Said,
    Stage,
    Stages,
    compared,
    conversation,
)
from mlxk.web.markup import Html, el, joined, void

Call = tuple[int, str]  # step and id

_STYLES = ("base.css", "rendered.css")
_SIDES = {"added": 3, "deleted": 1}  # where the one side of such a file is in its rows


def rendered(store: Store, place: Place) -> bytes:
    """The conversation, message by message, each step with its changes; all of them at the end."""
    told = conversation(place, Stages())
    style = _style()
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = el(
        "head",
        void("meta", charset="utf-8"),
        void("meta", http_equiv="Content-Security-Policy", content=policy),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="color-scheme", content="light dark"),
        el("title", f"{told.branch} · mlxk"),
        Html(f"<style>{style}</style>"),
    )
    body = el("body", el("main", *_page(store, place, told)))
    page = Html(f"<!doctype html>\n{el('html', head, body, lang='en').text}\n")
    return page.text.encode(errors="replace")


def _page(store: Store, place: Place, told: Conversation) -> Iterator[Html]:
    whole = compared(store, place.record.base, place.code)
    last = told.steps[-1]
    facts = (told.model, f"{last.number} steps", last.when.partition("T")[0], place.code[:12])
    yield el("h1", told.branch)
    yield el("p.facts", " · ".join(facts))
    results = _results(told.messages)
    stages = {
        stage.number: (before.commit, stage)
        for before, stage in pairwise(told.steps)
        if stage.files
    }
    for step, lines in groupby(told.messages, lambda line: line.step):
        yield from (_message(line, results) for line in lines if line.role != "tool")
        if stage := stages.pop(step, None):
            yield _stage(store, *stage)
    for stage in stages.values():
        yield _stage(store, *stage)
    yield el("h2", "All changes")
    yield from _changes(whole)


def _results(lines: Sequence[Line]) -> dict[Call, Said]:
    """Ids may come again in later turns: a result is that of the last call before it."""
    waiting: dict[str, Said] = {}
    found: dict[Call, Said] = {}
    for line in reversed(lines):
        waiting |= {said.id: said for said in line.results}
        for use in line.calls:
            if use.id in waiting:
                found[line.step, use.id] = waiting.pop(use.id)
    return found


def _message(line: Line, results: dict[Call, Said]) -> Html:
    if line.role == "user":
        return el("div.msg.user", line.text, dir="auto")
    thinking = el(
        "details.thinking", el("summary", "Thinking"), el("div", line.thinking, dir="auto")
    )
    calls = [_call(use, results.get((line.step, use.id))) for use in line.calls]
    words = el("div.words", line.text, dir="auto") if line.text else None
    return el("article.msg", thinking if line.thinking else None, words, *calls)


def _call(use: ToolUse, said: Said | None) -> Html:
    state = "stopped" if said is None else "ok" if said.ok else "failed"
    given = [
        joined((el("h4", name), el("pre", value))) for name, value in _arguments(use.arguments)
    ]
    about = " ".join(_about(use.arguments).split())[:200]
    mark = {"ok": "✓", "failed": "✕", "stopped": "·"}[state]
    head = el("summary", el("b", f"{mark} {use.name}"), " ", el("code", about))
    return el(f"details.call.{state}", head, *given, _output(said))


def _output(said: Said | None) -> Html | None:
    if said is None or not said.text:
        return None
    left = said.size - len(said.text)
    more = el("p.remark", f"{left} more characters: mlxk branch export") if left else None
    return joined((el("h4", "Output"), el("pre", said.text), more))


def _arguments(text: str) -> list[tuple[str, str]]:
    try:
        value = encoding.loads(text)
    except InvalidDocument:
        return [("arguments", text)]
    if not isinstance(value, dict):
        return [("arguments", text)]
    return [(k, v if isinstance(v, str) else encoding.dumps(v).decode()) for k, v in value.items()]


def _about(arguments: str) -> str:
    """The argument that says most."""
    values = dict(_arguments(arguments))
    found = (values[name] for name in ("command", "path", "pattern", "prompt") if name in values)
    return next(found, "")


def _stage(store: Store, before: str, stage: Stage) -> Html:
    head = el("summary", el("code", stage.commit[:8]), " ", stage.subject)
    changes = _changes(compared(store, before, stage.commit))
    return el("details.step", head, *changes, open="")


def _changes(found: Compared) -> Iterator[Html]:
    if not found.files:
        yield el("p.remark", "Nothing differs.")
    for file in found.files:
        yield _file(file)


def _file(file: FileRows) -> Html:
    head = el(
        "div.head",
        el("span.path", file.path),
        el("span", file.status.replace("_", " ")),
        el("span.plus", f"+{file.additions}"),
        el("span.minus", f"-{file.deletions}"),
    )
    remark = "A binary file." if file.binary else "Too long to show whole." if file.cut else None
    body = _table(file) if file.hunks else None
    return el("div.file", head, body, el("p.remark", remark) if remark else None)


def _table(file: FileRows) -> Html:
    only = _SIDES.get(file.status)
    if only is not None:
        kind = "add" if only == _SIDES["added"] else "del"
        lines = [
            el("tr", el("td.n", str(row[only])), el(f"td.{kind}", str(row[only + 1])))
            for hunk in file.hunks
            for row in hunk
        ]
        columns = el("colgroup", void("col", **{"class": "n"}), void("col"))
        return el("table.sides.one", columns, el("tbody", *lines), dir="ltr")
    gap = el("tr.gap", el("td", "⋯", colspan="4"))
    rows: list[Html] = []
    for hunk in file.hunks:
        rows += [gap] if rows else []
        rows += [_row(*row) for row in hunk]
    columns = el("colgroup", *(void("col", **{"class": name}) for name in ("n", "t", "n", "t")))
    return el("table.sides", columns, el("tbody", *rows), dir="ltr")


def _row(kind: str, old_line: int | None, old: str, new_line: int | None, new: str) -> Html:
    left = "td.none" if old_line is None else "td" if kind == "same" else "td.del"
    right = "td.none" if new_line is None else "td" if kind == "same" else "td.add"
    return el(
        "tr",
        el("td.n", "" if old_line is None else str(old_line)),
        el(left, old),
        el("td.n", "" if new_line is None else str(new_line)),
        el(right, new),
    )


@cache
def _style() -> str:
    folder = Path(__file__).parent / "page"
    return "\n".join((folder / name).read_text() for name in _STYLES)
