"""News of one tab as entries on the screen."""

from typing import Any

from textual.containers import VerticalScroll

from mlxk.agent.desk_news import News
from mlxk.tui import words
from mlxk.tui.entries import Answer, Call, Fold, Question, Said, Thought

_MOST = 400
_DROPPED = 100

Entry = Said | Answer | Fold | Question


class Conversation(VerticalScroll):
    """Follows its end until somebody scrolls up."""

    can_focus = False

    def __init__(self, tab: int) -> None:
        super().__init__(id=f"view-{tab}")
        self._new: list[Entry] = []
        self._touched: dict[Entry, None] = {}
        self._calls: dict[tuple[str | None, str], Call] = {}
        self._questions: dict[str, Question] = {}
        self._last: Entry | None = None
        self._command: Fold | None = None
        self._is_open = False

    def on_mount(self) -> None:
        self.anchor()

    async def show(self, batch: tuple[News, ...]) -> None:
        """Draw what has come, all of it at once."""
        for news in batch:
            if news.type == "reset":
                await self._restart()
            else:
                self._take(news)
        if self._new:
            new, self._new = self._new, []
            await self.mount_all(new)
            self._touched |= dict.fromkeys(new)
        touched, self._touched = self._touched, {}
        for entry in touched:
            await entry.settle()
        if len(self.children) > _MOST:
            await self._shorten()

    def fold_all(self) -> None:
        """Open everything, or close it again."""
        self._is_open = not self._is_open
        for fold in self.query(Fold):
            fold.fold(self._is_open)

    async def _restart(self) -> None:
        self._new.clear()
        self._touched.clear()
        self._calls.clear()
        self._questions.clear()
        self._last = self._command = None
        await self.remove_children()

    async def _shorten(self) -> None:
        await self.remove_children(self.children[:_DROPPED])
        note = Said("… earlier entries are not shown any more: /history", "notice")
        await self.mount(note, before=0)

    def _take(self, news: News) -> None:
        data: Any = news.data
        match news.type:
            case "text.delta" | "thinking.delta":
                self._text(Answer if news.type == "text.delta" else Thought, data.text)
            case "tool.started" | "tool.output" | "tool.finished":
                self._called(news)
            case "command.started" | "command.output" | "command.finished":
                self._persons(news)
            case "permission.asked" | "permission.answered":
                self._asked(news)
            case "step.committed" if isinstance(self._last, Call):
                self._committed(self._last, news)
            case _:
                if said := _words(news):
                    self._add(Said(*said))

    def _committed(self, call: Call, news: News) -> None:
        """Beside the call that changed the files."""
        data: Any = news.data
        call.committed(data.step, data.subject)
        self._touched[call] = None

    def _called(self, news: News) -> None:
        data: Any = news.data
        key = (news.session, data.id)
        if news.type == "tool.started":
            self._calls[key] = Call(data.name, data.arguments)
            self._add(self._calls[key])
            return
        call = self._calls.get(key)
        if call is None:
            return
        if news.type == "tool.output":
            call.feed(data.text)
        else:
            del self._calls[key]
            call.ended(ok=data.ok, seconds=data.seconds, text=data.text)
        self._touched[call] = None

    def _asked(self, news: News) -> None:
        data: Any = news.data
        if news.type == "permission.asked":
            self._questions[data.id] = Question(data)
            self._add(self._questions[data.id])
        elif data.id in self._questions:
            self._questions.pop(data.id).answered(data.allowed)

    def _text(self, kind: type[Answer] | type[Thought], text: str) -> None:
        if not isinstance(self._last, kind):
            if not text.strip():
                return
            self._add(kind())
        if isinstance(self._last, Answer | Thought):
            self._last.feed(text)
            self._touched[self._last] = None

    def _persons(self, news: News) -> None:
        """A command that the person typed."""
        data: Any = news.data
        if news.type == "command.started":
            self._command = Fold("$", words.plain(words.one_line(data.command)), preview=12)
            self._add(self._command)
        elif self._command is None:
            return
        elif news.type == "command.output":
            self._command.feed(data.text)
        else:
            more = f", {data.dropped_bytes} more bytes" if data.dropped_bytes else ""
            bad = bool(data.exit_code)
            note = f"exit code {data.exit_code}{more}" if bad or more else ""
            self._command.finish(note, "$error" if bad else "")
        self._touched[self._command] = None

    def _add(self, entry: Entry) -> None:
        self._end_text()
        self._new.append(entry)
        self._last = entry
        if isinstance(entry, Fold) and self._is_open:
            entry.fold(True)

    def _end_text(self) -> None:
        if isinstance(self._last, Thought):
            self._last.finish("")
            self._touched[self._last] = None
        self._last = None


def _words(news: News) -> tuple[str, str] | None:
    """(text, classes) of news that is a few words."""
    data: Any = news.data
    match news.type:
        case "prompt":
            return data.text, "prompt -queued" if data.queued else "prompt"
        case "step.committed":
            return f"step {data.step}  {data.subject}", "step"
        case "notice":
            return words.error(data.text, data.hint), f"notice -{data.level}"
        case "check.finished":
            if data.passed:
                return f"✓ {data.command}", "notice"
            output = words.clipped(data.output, 12)
            return f"✗ {data.command} (exit code {data.exit_code})\n{output}", "notice -warning"
        case "warning":
            return data.message, "notice -warning"
        case "retry":
            return f"asking again in {data.wait_s:g} s: {data.reason}", "notice -warning"
        case "budget":
            return f"{data.percent}% of {data.limit:g} {data.name} used", "notice -warning"
        case "compacted":
            return f"{data.dropped_characters} characters left out to fit the context", "notice"
    return None
