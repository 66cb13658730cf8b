"""The pieces of a conversation on the screen: each takes news at any time, draws once a batch."""

import difflib
import json
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from mlxk.agent.events import PermissionAsked
from mlxk.tui import words

_PREVIEW = 6
_UNFOLDED = 400
_KEPT = 60_000  # characters of one output
_ANSWER = 200_000


class Said(Static):
    """Words that do not change: a prompt, a step, a notice."""

    def __init__(self, text: str, classes: str) -> None:
        super().__init__(Content(words.plain(text)), classes=classes)

    async def settle(self) -> None:
        return


class Answer(Vertical):
    """What the model says, as Markdown that grows."""

    def __init__(self) -> None:
        super().__init__(classes="answer")
        self._fresh: list[str] = []
        self._length = 0

    def compose(self) -> ComposeResult:
        from textual.widgets import Markdown

        yield Markdown(open_links=False)

    def feed(self, text: str) -> None:
        if self._length < _ANSWER:
            self._fresh.append(words.plain(text))
        elif self._length < _ANSWER + len(text):
            self._fresh.append("\n\n…  /export writes all of it\n")
        self._length += len(text)

    async def settle(self) -> None:
        from textual.widgets import Markdown

        if self._fresh:
            text = "".join(self._fresh)
            self._fresh.clear()
            await self.query_one(Markdown).append(text)


class Fold(Vertical):
    """A line that opens to more: thinking, a call with its output, a command of the person's."""

    def __init__(self, mark: str, title: str, *, preview: int) -> None:
        super().__init__()
        self._mark = mark
        self._title = title
        self._preview = preview
        self._text = ""
        self._dropped = 0
        self._note = ""
        self._style = ""
        self._is_open = False
        self._is_live = True
        self._changed = True

    def compose(self) -> ComposeResult:
        yield Static(classes="head")
        yield Static(classes="body -empty")

    def on_click(self) -> None:
        self.fold(not self._is_open)

    def fold(self, is_open: bool) -> None:
        self._is_open = is_open
        self._draw()

    def feed(self, text: str) -> None:
        """While it comes, the end of it is kept."""
        self._text += words.plain(text)
        if len(self._text) > _KEPT:
            self._dropped += len(self._text) - _KEPT
            self._text = self._text[-_KEPT:]
        self._changed = True

    def finish(self, note: str, style: str = "", *, text: str | None = None) -> None:
        """`text` replaces what has come so far."""
        if text is not None:
            self._text = words.plain(text[:_KEPT])
            self._dropped = max(0, len(text) - _KEPT)
        self._note, self._style, self._is_live, self._changed = note, style, False, True

    @property
    def _is_bad(self) -> bool:
        return self._style == "$error"

    async def settle(self) -> None:
        if self._changed:
            self._changed = False
            self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        head = Content.assemble(
            (f"{self._mark} ", self._style or "$primary"),
            (self._title, "$foreground" if self._preview else ""),
            (
                f"  {self._note}" if self._note else "",
                self._style if self._is_bad else words.MUTED,
            ),
        )
        self.query_one(".head", Static).update(head)
        body = self.query_one(".body", Static)
        text = self._shown()
        body.set_class(not text, "-empty")
        body.update(self._coloured(text))

    def _shown(self) -> str:
        most = _UNFOLDED if self._is_open else self._preview
        if self._is_live and not self._is_open:
            return "\n".join(self._text.rstrip("\n").split("\n")[-most:]) if most else ""
        text = words.clipped(self._text, most) if most else ""
        if self._dropped and self._is_open:
            text += f"\n… and {self._dropped} more characters"
        return text

    def _coloured(self, text: str) -> Content:
        return Content(text)


class Thought(Fold):
    """Folded: only how long it is."""

    def __init__(self) -> None:
        super().__init__("✻", "thinking", preview=0)
        self._words = 0

    def feed(self, text: str) -> None:
        super().feed(text)
        self._words += text.count(" ") + text.count("\n")
        self._note = f"{self._words} words"

    def finish(self, note: str, style: str = "", *, text: str | None = None) -> None:
        self._title = "thought"
        super().finish(self._note, style, text=text)


class Call(Fold):
    """A call of a tool: what it is about, its output, how it ended. An edit shows its lines."""

    def __init__(self, name: str, arguments: str) -> None:
        super().__init__("●", words.plain(words.call(name, arguments)), preview=_PREVIEW)
        self._edit = _edited(arguments) if name == "Edit" else ""

    def ended(self, *, ok: bool, seconds: float, text: str) -> None:
        took = f"{seconds:.1f} s" if seconds >= 0.05 else ""
        if ok:
            self.finish(took, "$success", text=self._edit or text)
        else:
            self._edit = ""
            self.finish(f"✗ {took}".rstrip(), "$error", text=text)

    def committed(self, step: int, subject: str) -> None:
        """Say which step it became: `step 3 (+2 -1)`."""
        size = subject[subject.rfind("(") :] if subject.endswith(")") else subject
        self._note, self._changed = f"{self._note}  step {step} {size}".strip(), True

    def _coloured(self, text: str) -> Content:
        return diff_lines(text) if self._edit else Content(text)


class Question(Static):
    """A call that waits for leave; answered by keys, commands or the mouse."""

    def __init__(self, asked: PermissionAsked) -> None:
        self._asked = asked
        super().__init__(self._content(None))

    def answered(self, allowed: bool) -> None:
        self.update(self._content("allowed" if allowed else "refused"))

    async def settle(self) -> None:
        return

    def _content(self, verdict: str | None) -> Content:
        about = words.plain(words.one_line(self._asked.about))
        head = Content.assemble((self._asked.name, "bold $accent"), f" {about}\n")
        if verdict:
            return Content.assemble(head, (verdict, words.MUTED))
        return head + Content.from_markup(
            "May it?  [@click=app.answer(True)]F2 yes[/]   [@click=app.answer(False)]F3 no[/]   "
            "[@click=app.always]Shift-F2 always[/]"
        )


def diff_lines(text: str) -> Content:
    """Lines that begin with + and - in their colours."""
    styles = {"+": "$text-success", "-": "$text-error"}
    lines = [Content.styled(line, styles.get(line[:1], "")) for line in text.split("\n")]
    return Content("\n").join(lines)


def _edited(arguments: str) -> str:
    """What an Edit replaces, as lines with marks."""
    try:
        value: Any = json.loads(arguments)
        old, new = value["old_string"], value["new_string"]
    except (ValueError, KeyError, TypeError):
        return ""
    if not isinstance(old, str) or not isinstance(new, str) or len(old) + len(new) > _KEPT:
        return ""
    found = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=2)
    return "\n".join(list(found)[3:])
