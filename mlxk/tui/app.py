"""The full screen: tabs, conversations, a line to type in. Everything is done by the desk.

What the first paint does not need is imported after it.
"""

import asyncio
import gc
import subprocess
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.app import App, ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.css.query import NoMatches
from textual.widgets import Static
from textual.worker import WorkerFailed

from mlxk.contract.errors import MlxkError, SessionBusy, UsageError
from mlxk.tui import bars, words
from mlxk.tui.editor import Editor
from mlxk.tui.face import Opening
from mlxk.tui.theme import CSS, DARK, LIGHT

if TYPE_CHECKING:
    from mlxk.agent.desk import Desk
    from mlxk.agent.desk_look import Changes
    from mlxk.agent.desk_tab import Status, Tab
    from mlxk.tui.conversation import Conversation

_FRAME_S = 1 / 30
_NARROW = 50
_BELOW = frozenset({"close", "recall", "new", "beside", "help", "fold", "scroll", "tab"})
_OF_A_TAB = frozenset({"beside", "fold", "scroll", "tab", "answer", "always"})
_WELCOME = (
    "Ask for something and press Enter. The agent works in a worktree of its own:\n"
    "nothing of yours changes until you /land it.   /help   F1"
)


class Terminal(App[None]):
    """A Face. `failure` is why it could not begin, or the bug that ended it."""

    CSS = CSS
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "stop", priority=True),
        Binding("ctrl+d", "close", priority=True),
        Binding("ctrl+r", "recall", priority=True),
        Binding("ctrl+t", "new", priority=True),
        Binding("ctrl+comma,alt+left,f7,ctrl+pageup", "beside(-1)", priority=True),
        Binding("ctrl+full_stop,alt+right,f8,ctrl+pagedown", "beside(1)", priority=True),
        Binding("f1", "help", priority=True),
        Binding("f2", "answer(True)", priority=True),
        Binding("shift+f2,f14", "always", priority=True),
        Binding("f3", "answer(False)", priority=True),
        Binding("f4", "fold", priority=True),
        Binding("f9", "light", priority=True),
        Binding("pageup", "scroll(-1)", priority=True),
        Binding("pagedown", "scroll(1)", priority=True),
        *(Binding(f"ctrl+{n},alt+{n}", f"tab({n})", priority=True) for n in range(1, 10)),
    ]

    def __init__(self, opening: Opening) -> None:
        super().__init__()
        # Textual takes Alt-1 for what one terminal means by it on macOS: an inverted "!".
        sequences = cast("dict[str, object]", ANSI_SEQUENCES_KEYS)
        for digit in "123456789":
            sequences.pop(f"\x1b{digit}", None)
        self._opening = opening
        self.failure: BaseException | None = None
        self._desk: Desk | None = None
        self._tab: Tab | None = None
        self._waiting: list[str] = []  # sent before the desk was there
        self._drawn: tuple[int, int, list[Status]] | None = None
        self._completed = ""  # what the candidates that are shown go on from
        self._present = asyncio.Event()  # cleared while the terminal is lent to a command
        self._present.set()

    def compose(self) -> ComposeResult:
        yield bars.TabBar()
        with Container(id="views"):
            yield Static(_WELCOME, id="welcome", markup=False)
        yield Static(id="candidates", classes="-empty", markup=False)
        yield Editor()
        yield Static("starting", id="status", markup=False)

    def on_mount(self) -> None:
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.theme = LIGHT.name if self._opening.light else DARK.name
        self.query_one(Editor).focus()
        self.call_after_refresh(self._begin)

    # A face for commands

    @property
    def desk(self) -> "Desk":
        if self._desk is None:
            raise UsageError("still starting")
        return self._desk

    @property
    def tab(self) -> "Tab":
        if self._tab is None:
            raise UsageError("still starting")
        return self._tab

    def say(self, text: str) -> None:
        from mlxk.agent.desk_news import Notice

        self.tab.feed.tell(Notice("info", text))

    def page(self, title: str, text: str) -> None:
        from mlxk.tui.pager import Pager

        self.push_screen(Pager(title, text))

    def show_changes(self, title: str, changes: "Changes") -> None:
        from mlxk.tui.pager import DiffPager

        self.push_screen(DiffPager(title, changes))

    def go(self, tab: "Tab") -> None:
        from mlxk.tui.conversation import Conversation

        self._tab = tab
        if not self.query(f"#view-{tab.id}"):
            self.query_one("#views").mount(Conversation(tab.id))
            self._follow(tab)
        for view in self.query(Conversation):
            view.display = view.id == f"view-{tab.id}"
        self._refresh()

    async def confirm(self, question: str) -> bool:
        from mlxk.tui.pager import Confirm

        return await self.push_screen_wait(Confirm(question))

    async def closed(self, tab: "Tab") -> None:
        await self.query(f"#view-{tab.id}").remove()
        self.go(self.desk.tabs[-1])

    async def leave(self) -> None:
        self.exit()

    @property
    def has_begun(self) -> bool:
        return self._desk is not None

    # Beginning

    @work(exit_on_error=True)
    async def _begin(self) -> None:
        gc.freeze()  # what is there stays; later collections need not look at it
        gc.enable()
        try:
            self._desk = await asyncio.to_thread(self._opening.desk)
        except MlxkError as e:
            self.failure = e
            self.exit()
            return
        await self._doing(self._first)
        self.set_interval(0.5, self._refresh)
        for text in self._waiting:
            self._take(text)

    async def _first(self) -> None:
        spec = self._opening.resume
        if spec is None:
            self.go(self.desk.new())
            return
        try:
            self.go(await self.desk.open(spec, **self._opening.given()))
        except SessionBusy as e:
            if not await self.confirm(f"{e}. Go on in a branch from its last step?"):
                raise
            self.go(await self.desk.fork(spec, **self._opening.given()))

    @work(exit_on_error=True)
    async def _follow(self, tab: "Tab") -> None:
        """Draw what a tab tells, at most thirty times a second."""
        view = self._view(tab)
        with tab.feed.subscribe() as news:
            while batch := await news.batch():
                await self._present.wait()
                self.query("#welcome").remove()
                if not view.is_attached:
                    return
                await view.show(batch)
                self._refresh()
                await asyncio.sleep(_FRAME_S)

    def _handle_exception(self, error: Exception) -> None:
        """The command line tells of a bug when the terminal is its own again."""
        cause = error.error if isinstance(error, WorkerFailed) else error
        if isinstance(cause, NoMatches) and not self.is_running:
            return  # it closes: what was to be drawn on has gone first
        self.failure = self.failure or cause
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """No traceback with the values of all variables."""
        self._close_messages_no_wait()

    # What is typed

    @on(Editor.Sent)
    def _sent(self, event: Editor.Sent) -> None:
        self._hint([])
        self._take(event.text)

    @work
    async def _take(self, text: str) -> None:
        if self._tab is None:
            self._waiting.append(text)
        else:
            await self._doing(lambda: self._carry_out(text.strip()))

    async def _carry_out(self, text: str) -> None:
        from mlxk.tui import commands

        if text.startswith("/") and "\n" not in text:
            await commands.carry_out(self, text)
        elif text.startswith("!"):
            await self.tab.command(text[1:].strip())
        elif text.startswith("$"):
            await self._interactive(text[1:].strip())
        else:
            self.tab.submit(text)
        self._refresh()

    async def _doing(self, action: Callable[[], Awaitable[None]]) -> None:
        """What fails is said in the conversation."""
        from mlxk.agent.desk_news import Notice

        try:
            await action()
        except MlxkError as e:
            if self._tab is None:
                self.go(self.desk.new())
            self.tab.feed.tell(Notice("error", str(e), e.hint, e.type))

    async def _interactive(self, line: str) -> None:
        """The command has the terminal to itself; the agents go on meanwhile."""
        folder = self.tab.folder
        self._present.clear()
        try:
            with self.suspend(), self.batch_update():
                await asyncio.to_thread(subprocess.run, line, shell=True, cwd=folder, check=False)
        except SuspendNotSupported:
            raise UsageError("this terminal cannot be lent to a command", hint=f"!{line}") from None
        finally:
            self._present.set()
        await self.tab.record_files(f"$ {line}")

    @on(Editor.Complete)
    def _complete(self, event: Editor.Complete) -> None:
        from mlxk.tui.complete import complete

        if self._tab is None:
            return
        text, candidates = complete(event.text, self._tab.folder)
        self._completed = text
        if text != event.text:
            self.query_one(Editor).put_before_cursor(text)
        self._hint(candidates)

    @on(Editor.Changed)
    def _changed(self) -> None:
        if self.query_one(Editor).before_cursor != self._completed:
            self._hint([])

    @on(bars.TabBar.Chosen)
    def _chosen(self, event: bars.TabBar.Chosen) -> None:
        self.action_tab(event.number)

    def _hint(self, candidates: list[str]) -> None:
        line = self.query_one("#candidates", Static)
        line.set_class(not candidates, "-empty")
        line.update(Content(words.plain("  ".join(candidates))))

    # Keys and the mouse

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What lies over the conversation has the keys, but Ctrl-C always ends something."""
        if self._tab is None and action in _OF_A_TAB:
            return False
        return len(self.screen_stack) == 1 or action not in _BELOW

    def on_click(self) -> None:
        """What is typed next goes to the editor, wherever was clicked."""
        if len(self.screen_stack) == 1:
            self.query_one(Editor).focus()

    def action_stop(self) -> None:
        """Copy what is selected; else clear the line; else stop the agent."""
        editor = self.query_one(Editor)
        if selected := self.screen.get_selected_text() or editor.selected_text:
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
        elif len(self.screen_stack) > 1:
            self.screen.dismiss(False)
        elif editor.text:
            editor.put("")
        elif self._tab is not None and self._tab.is_busy:
            self._take("/abort")
        elif self._tab is not None:
            self.say("Ctrl-D closes the tab")

    def action_close(self) -> None:
        editor = self.query_one(Editor)
        if editor.text:
            editor.action_delete_right()
        elif self._tab is None:
            self.exit()
        else:
            self._take("/exit")

    def action_recall(self) -> None:
        self.query_one(Editor).recall()

    def action_new(self) -> None:
        self._take("/new")

    def action_help(self) -> None:
        self._take("/help")

    def action_tab(self, number: int) -> None:
        if 1 <= number <= len(self.desk.tabs):
            self.go(self.desk.tabs[number - 1])

    def action_beside(self, step: int) -> None:
        tabs = self.desk.tabs
        self.go(tabs[(tabs.index(self.tab) + step) % len(tabs)])

    def action_answer(self, allow: bool) -> None:
        self._take("/allow" if allow else "/deny")

    def action_always(self) -> None:
        self._take("/allow --always")

    def action_fold(self) -> None:
        self._view().fold_all()

    def action_light(self) -> None:
        self.theme = DARK.name if self.theme == LIGHT.name else LIGHT.name

    def action_scroll(self, pages: int) -> None:
        view = self._view()
        view.scroll_relative(y=pages * max(1, view.size.height - 2), animate=False)

    # Drawing

    def _view(self, tab: "Tab | None" = None) -> "Conversation":
        from mlxk.tui.conversation import Conversation

        return self.query_one(f"#view-{(tab or self.tab).id}", Conversation)

    def on_resize(self) -> None:
        self.screen.set_class(self.size.width < _NARROW, "-narrow")
        self._refresh()

    def _refresh(self) -> None:
        if self._desk is None or self._tab is None or not self._present.is_set():
            return
        width, here = self.size.width - 2, self._tab.id
        found = [tab.status() for tab in self._desk.tabs]
        if (width, here, found) != self._drawn:
            self._drawn = (width, here, found)
            self.query_one(bars.TabBar).show(found, here, width)
            self.query_one("#status", Static).update(bars.status(self._tab.status(), width))
