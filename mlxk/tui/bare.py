"""The plain face: lines in, words out. For pipes, screen readers and the dumbest terminals."""

import asyncio
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from mlxk.contract.errors import MlxkError
from mlxk.system.lines import Lines
from mlxk.tui import commands, words

if TYPE_CHECKING:
    from mlxk.agent.desk import Desk
    from mlxk.agent.desk_look import Changes
    from mlxk.agent.desk_news import News, Subscription
    from mlxk.agent.desk_tab import Tab

_SHOWN_LINES = 12
_YES = ("y", "yes")


class Bare:
    """A Face over standard input and `out`. `asks`: somebody sits there and can answer."""

    def __init__(self, desk: "Desk", tab: "Tab", lines: Lines, out: TextIO, *, asks: bool) -> None:
        self.desk = desk
        self.tab = tab
        self._out = out
        self._asks = asks
        self._lines = lines
        self._left = False
        self._is_over = False  # the input
        self._asked = asyncio.Event()
        self._present = asyncio.Event()  # cleared while the terminal is lent to a command
        self._present.set()
        self._at_start = True  # of a line on the screen
        self._listening: dict[int, Subscription] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, first: str | None = None) -> None:
        """Until the end of input or /exit. The last line's work is waited for."""
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGINT, self._stop)
        self._listen(self.tab)
        if first:
            self.tab.submit(first)
        try:
            await self._read()
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            for task in self._tasks:
                task.cancel()

    # A face for commands

    def say(self, text: str) -> None:
        self._line(words.plain(text))

    def page(self, title: str, text: str) -> None:
        self.say(f"{title}\n{text}")

    def show_changes(self, title: str, changes: "Changes") -> None:
        self.say(f"{title}\n{changes.patch}")

    def go(self, tab: "Tab") -> None:
        self.tab = tab
        self._listen(tab)
        status = tab.status()
        self.say(f"[{self.desk.tabs.index(tab) + 1}] {status.branch or 'a new tab'}: {tab.state}")

    async def confirm(self, question: str) -> bool:
        if not self._asks:
            return True
        self._write(f"{question} [y/N] ")
        return (await self._lines.next()).strip().casefold() in _YES

    async def closed(self, tab: "Tab") -> None:
        if self.desk.tabs:
            self.go(self.desk.tabs[0])

    async def leave(self) -> None:
        self._left = True

    # Reading

    async def _read(self) -> None:
        while not self._left:
            if not self._asks:
                await self._rest()
            elif not self.tab.is_running:
                self._invite()
            line = await self._lines.next()
            if not line:
                break
            self._at_start = self._asks or self._at_start
            await self._take(line.strip())
        if not self._left:
            await self._finish()
            self._fresh_line()

    async def _take(self, line: str) -> None:
        try:
            await self._carry_out(line)
        except MlxkError as e:
            self._line(words.plain(words.error(str(e), e.hint, e.type)))

    async def _carry_out(self, line: str) -> None:
        questions = self.tab.status().questions
        if questions and line.casefold() in (*_YES, "n", "no", "a", "always"):
            always = line.casefold() in ("a", "always")
            self.tab.answer(questions[0].id, line.casefold()[0] in "ya", always=always)
        elif line.startswith("/"):
            await commands.carry_out(self, line)
        elif line.startswith("!"):
            await self.tab.command(line[1:].strip())
        elif line.startswith("$"):
            await self._interactive(line[1:].strip())
        elif line:
            self.tab.submit(line)

    async def _interactive(self, line: str) -> None:
        """The command has the terminal to itself; the agents go on meanwhile."""
        folder = self.tab.folder
        self._out.flush()
        self._present.clear()
        try:
            await asyncio.to_thread(subprocess.run, line, shell=True, cwd=folder, check=False)
        finally:
            self._present.set()
        await self.tab.record_files(f"$ {line}")

    async def _rest(self) -> None:
        """Until the tab has nothing more to do, or asks for the next line."""
        self._asked.clear()
        if not self.tab.status().questions:
            waits = {asyncio.create_task(self.tab.wait()), asyncio.create_task(self._asked.wait())}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in waits:
                task.cancel()
        self._catch_up()

    async def _finish(self) -> None:
        """Nobody will answer any more; what was asked for is still done."""
        self._is_over = True
        for tab in self.desk.tabs:
            for asked in tab.status().questions:
                tab.answer(asked.id, False)
            await tab.wait()
        self._catch_up()

    def _catch_up(self) -> None:
        for tab in self.desk.tabs:
            for news in self._listening[tab.id].take() if tab.id in self._listening else ():
                self._show(tab, news)

    def _stop(self) -> None:
        """Ctrl-C."""
        if not self._present.is_set():
            return  # it is meant for the command
        if self.tab.is_busy:
            self._tasks.add(asyncio.create_task(self._abort()))
        else:
            self._line("Ctrl-D, or /exit, leaves")
            self._invite()

    async def _abort(self) -> None:
        await self.tab.abort()

    # Showing

    def _listen(self, tab: "Tab") -> None:
        if tab.id not in self._listening:
            news = self._listening[tab.id] = tab.feed.subscribe(backlog=False)
            self._tasks.add(asyncio.create_task(self._follow(tab, news)))

    async def _follow(self, tab: "Tab", news: "Subscription") -> None:
        with news:
            async for one in news:
                await self._present.wait()
                self._show(tab, one)

    def _show(self, tab: "Tab", news: "News") -> None:
        if news.type == "permission.asked":
            self._asked.set()
            if self._is_over:
                tab.answer(news.data.id, False)
        if tab is not self.tab:
            if news.type == "run.finished":
                number = self.desk.tabs.index(tab) + 1
                self._line(f"[{number}] {tab.status().name}: {news.data.stop_reason}")
            return
        text = _shown(news)
        if news.type in ("text.delta", "command.output"):
            self._write(words.plain(news.data.text))
        elif text:
            self._line(text)
        if news.type == "state" and not tab.is_running and self._asks:
            self._invite()

    def _invite(self) -> None:
        if not self._left:
            self._fresh_line()
            self._write(f"{self.tab.status().name}> ")

    def _line(self, text: str) -> None:
        self._fresh_line()
        self._write(f"{text}\n")

    def _fresh_line(self) -> None:
        if not self._at_start:
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            self._out.write(text)
            self._out.flush()
            self._at_start = text.endswith("\n")


def _shown(news: "News") -> str:
    """What a piece of news says in lines; nothing for most."""
    data: Any = news.data
    match news.type:
        case "tool.started":
            return f"* {words.plain(words.call(data.name, data.arguments))}"
        case "tool.finished":
            return words.plain(words.clipped(data.text, _SHOWN_LINES))
        case "step.committed":
            return f"  step {data.step}: {words.plain(data.subject)}"
        case "permission.asked":
            about = words.plain(words.one_line(data.about))
            return f"? {data.name} {about}\n  yes, no, or always?"
        case "check.finished":
            passed = "passed" if data.passed else f"failed ({data.exit_code})"
            return f"check {words.plain(data.command)}: {passed}"
        case "command.finished" if data.exit_code or data.dropped_bytes:
            more = f", {data.dropped_bytes} more bytes" if data.dropped_bytes else ""
            return f"exit code {data.exit_code}{more}"
        case "notice":
            type = data.error if data.level == "error" else None
            return f"{data.level}: {words.plain(words.error(data.text, data.hint, type))}"
        case "warning":
            return f"warning: {words.plain(data.message)}"
        case "retry":
            return f"asking again in {data.wait_s:g} s: {words.plain(data.reason)}"
    return ""
