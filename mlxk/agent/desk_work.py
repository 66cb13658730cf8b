"""What a tab is doing: one run at a time, its state, its questions, and how it failed."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from mlxk.agent.desk_news import Feed, Notice, State, StateChanged
from mlxk.agent.events import Event, OfferedTool, PermissionAsked, RunStarted, Used, Warned
from mlxk.contract.errors import InternalError, Interrupted, MlxkError, NotFound, UsageError
from mlxk.contract.notes import collecting

if TYPE_CHECKING:
    from mlxk.contract.envelope import ErrorInfo

_ERRORS = 100
Run = Coroutine[Any, Any, MlxkError | None]


class Work:
    """`tokens`: input, output and cached ones of all runs; `context`: those of the last answer.

    `offered` are the tools of the last run.
    """

    def __init__(self, feed: Feed) -> None:
        self.state: State = "idle"
        self.errors: deque[ErrorInfo] = deque(maxlen=_ERRORS)
        self.tokens = (0, 0, 0)
        self.context = 0
        self.offered: tuple[OfferedTool, ...] = ()
        self._feed = feed
        self._task: asyncio.Task[None] | None = None
        self._questions: dict[str, tuple[PermissionAsked, asyncio.Future[bool]]] = {}
        self._trusted: set[str] = set()
        self._warned: set[str] = set()

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def questions(self) -> tuple[PermissionAsked, ...]:
        return tuple(asked for asked, _ in self._questions.values())

    def require_rest(self) -> None:
        if self.is_running:
            raise UsageError("the agent is working", hint="wait for it, or /abort")

    def start(self, run: Run, then: Callable[[], None]) -> None:
        """`run` returns why it failed, if it did; `then` is called after it ended well."""
        self.to("running")
        self._task = asyncio.create_task(self._carry_out(run))
        self._task.add_done_callback(lambda task: self._after(task, run, then))

    async def abort(self) -> None:
        """Once: what is cleaning up is left to it."""
        if self._task is not None and not self._task.done():
            if not self._task.cancelling():
                self._task.cancel()
            await asyncio.wait({self._task})

    async def wait(self) -> None:
        """Return when nothing runs any more."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})
            await asyncio.sleep(0)  # what waits its turn begins in the callback

    async def ask(self, asked: PermissionAsked) -> bool:
        """Wait for a person's answer."""
        if asked.name in self._trusted:
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._questions[asked.id] = (asked, future)
        self.to("asking")
        try:
            return await future
        finally:
            self._questions.pop(asked.id, None)
            self.to("asking" if self._questions else "running")

    def answer(self, id: str, allow: bool, *, always: bool) -> None:
        if id not in self._questions:
            raise NotFound(f"there is no question {id!r}")
        asked, future = self._questions.pop(id)
        if always and allow:
            self._trusted.add(asked.name)
        if not future.done():
            future.set_result(allow)

    def hear(self, event: Event, session: str) -> None:
        """Pass an event on, a warning once. What a helper uses is not this session's context."""
        if isinstance(event.data, Warned):
            if event.data.message in self._warned:
                return
            self._warned.add(event.data.message)
        if isinstance(event.data, RunStarted) and event.session == session:
            self.offered = event.data.tools
        if isinstance(event.data, Used):
            new = event.data
            used = (new.prompt_tokens, new.completion_tokens, new.cached_tokens)
            before = self.tokens
            self.tokens = (before[0] + used[0], before[1] + used[1], before[2] + used[2])
            if event.session == session:
                self.context = new.context_used
        self._feed.pass_on(event)

    def forget(self) -> None:
        """Count from zero."""
        self.tokens, self.context, self.offered = (0, 0, 0), 0, ()

    def to(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._feed.tell(StateChanged(state))

    def fail(self, error: MlxkError) -> None:
        """Tell a failure, and keep it for who asks later."""
        info = error.info()
        self.errors.append(info)
        self._feed.tell(Notice("error", info.message, info.hint, info.type))

    async def _carry_out(self, run: Run) -> None:
        with collecting() as notes:
            try:
                error = await run
            except asyncio.CancelledError:
                error = Interrupted("interrupted; the work so far is kept")
            except MlxkError as e:
                error = e
        for note in notes:
            if note.message not in self._warned:
                self._warned.add(note.message)
                self._feed.tell(Notice("warning", note.message))
        if isinstance(error, Interrupted):
            self._feed.tell(Notice("warning", str(error), None, error.type))
        elif error is not None:
            self.fail(error)
        self.to(_state_after(error))

    def _after(self, task: asyncio.Task[None], run: Run, then: Callable[[], None]) -> None:
        if task.cancelled():  # before it began
            run.close()
            self.to("interrupted")
        elif (bug := task.exception()) is not None:
            text = f"{type(bug).__name__}: {bug}"
            self.fail(InternalError(text, hint="this is a bug; please report it"))
            self.to("failed")
        if self.state == "idle":
            then()


def _state_after(error: MlxkError | None) -> State:
    if error is None:
        return "idle"
    return "interrupted" if isinstance(error, Interrupted) else "failed"
