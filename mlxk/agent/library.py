"""`Agent`: the agent for Python programs. What `mlxk agent` does, without a command line."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from mlxk.agent import compose
from mlxk.agent.events import Event
from mlxk.agent.job import Bounds, Job, Order, reraise_cancellation
from mlxk.agent.limits import Budgets
from mlxk.agent.report import Report
from mlxk.agent.settings import Settings, tool_names
from mlxk.agent.tools import BUILTIN
from mlxk.agent.tools.base import AgentTool, Context, Result
from mlxk.chat.model import ChatModel
from mlxk.chat.types import Tool
from mlxk.contract.errors import UsageError
from mlxk.history.record import find
from mlxk.history.session import Session
from mlxk.history.store import Store
from mlxk.system import clock, paths


class CustomTool(Protocol):
    """A tool of the caller's own: `run` gets checked arguments and gives text for the model."""

    name: str
    description: str
    parameters: dict[str, Any]

    async def run(self, arguments: dict[str, Any], folder: Path) -> str: ...


@dataclass(slots=True)
class _Shared:
    """What an agent and its branches have in common: one repository, one loaded model."""

    stack: AsyncExitStack
    store: Store
    model: ChatModel
    load_s: Callable[[], float | None]


@dataclass(slots=True)
class Agent:
    """An agent in the repository around `folder`. Its session begins with the first `run`.

    `async with Agent(model=…) as agent:` keeps the model loaded between runs; a bare
    `await Agent(model=…).run("…")` loads it for that run. A failure raises an MlxkError whose
    `data` is the report of what was done.
    """

    model: str | ChatModel = "builtin:tiny"
    tools: Sequence[str] = tuple(BUILTIN)
    system: str | None = None
    folder: Path | str = "."
    branch_name: str | None = None
    budgets: Budgets = field(default_factory=Budgets)
    extra_tool_classes: Sequence[type[CustomTool]] = ()
    temperature: float | None = None
    seed: int | None = None
    _shared: _Shared | None = None
    _session: Session | None = None
    _owns: bool = True

    async def __aenter__(self) -> Self:
        if self._shared is None:
            self._shared = await self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
        if self._shared is not None and self._owns:
            await self._shared.stack.aclose()
            self._shared = None

    async def run(
        self,
        prompt: str,
        *,
        check: str | None = None,
        schema: dict[str, Any] | None = None,
        listener: Callable[[Event], object] = lambda _: None,
    ) -> Report:
        """Work on `prompt`, going on where this agent stands."""
        if not prompt.strip():
            raise UsageError("the prompt is empty")
        if self._shared is None:
            async with self:
                return await self.run(prompt, check=check, schema=schema, listener=listener)
        shared, settings = self._shared, self._settings()
        if self._session is None:
            start = compose.Start(settings, None)
            self._session = compose.session(shared.store, start, prompt, name=self.branch_name)
        job = Job(
            self._session,
            shared.model,
            settings,
            bounds=Bounds(self.budgets),
            extra_tools=[_adapted(tool()) for tool in self.extra_tool_classes],
            load_s=shared.load_s,
        )
        ended = await job.run(Order(prompt, check, schema), listener)
        reraise_cancellation()
        if ended.error is not None:
            ended.error.data = ended.report
            raise ended.error
        return ended.report

    def branch(self, name: str | None = None) -> "Agent":
        """Another agent that goes on from this one's present state, on a branch of its own."""
        if self._shared is None or self._session is None:
            raise RuntimeError(
                "branch() goes on from a run: use `async with Agent(…)` and run first"
            )
        store, record = self._shared.store, self._session.record
        place = find(store, record.id)
        settings = self._settings()
        session = compose.fork(store, place, settings, name or record.name, clock.now())
        return replace(self, _session=session, _owns=False)

    async def spawn(self, prompts: Sequence[str]) -> list[Report | BaseException]:
        """Several branches from here, at once: one report, or error, for each prompt."""
        agents = [self.branch() for _ in prompts]

        async def one(agent: "Agent", prompt: str) -> Report:
            async with agent:
                return await agent.run(prompt)

        runs = (one(agent, prompt) for agent, prompt in zip(agents, prompts, strict=True))
        return await asyncio.gather(*runs, return_exceptions=True)

    def _settings(self) -> Settings:
        name = self.model if isinstance(self.model, str) else type(self.model).__name__
        return Settings(
            name,
            system=self.system,
            tools=tool_names(",".join(self.tools)),
            temperature=self.temperature,
            seed=self.seed,
        )

    async def _open(self) -> _Shared:
        async with AsyncExitStack() as stack:
            store = stack.enter_context(Store.open(Path(self.folder), paths.home()))
            if isinstance(self.model, str):
                opened = await stack.enter_async_context(compose.chat_model(self._settings()))
                return _Shared(stack.pop_all(), store, opened.chat, opened.load_s)
            return _Shared(stack.pop_all(), store, self.model, lambda: None)


def _adapted(tool: CustomTool) -> AgentTool:
    async def run(arguments: dict[str, Any], context: Context) -> Result:
        return Result(await tool.run(arguments, context.workspace.root), None)

    return AgentTool(Tool(tool.name, tool.description, tool.parameters), run)
