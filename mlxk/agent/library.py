"""`Agent`: the agent for Python programs. What `mlxk agent` does, without a command line."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from mlxk.agent import compose
from mlxk.agent.config import Config, load
from mlxk.agent.events import Event
from mlxk.agent.job import Bounds, Job, Order, reraise_cancellation
from mlxk.agent.limits import Budgets
from mlxk.agent.permissions import Permissions
from mlxk.agent.report import Report
from mlxk.agent.scribe import Scribe
from mlxk.agent.settings import Settings, tool_names
from mlxk.agent.tools.base import AgentTool, Context, Result
from mlxk.chat.model import ChatModel
from mlxk.chat.types import Tool
from mlxk.contract.errors import UsageError
from mlxk.history.record import Place
from mlxk.history.session import Session
from mlxk.history.store import Store
from mlxk.system import clock, paths

_DEFAULT = "builtin:tiny"
_Who = tuple[str, str, str | None]


class CustomTool(Protocol):
    """A tool of the caller's own: `run` gets checked arguments and gives text for the model."""

    name: str
    description: str
    parameters: dict[str, Any]

    async def run(self, arguments: dict[str, Any], folder: Path) -> str: ...


@dataclass(slots=True)
class _Shared:
    """What an agent and its branches have in common: one repository, and models by who they are."""

    stack: AsyncExitStack
    scribe: Scribe
    models: dict[_Who, compose.Model] = field(default_factory=dict)
    opening: dict[_Who, asyncio.Lock] = field(default_factory=dict)

    async def model(self, settings: Settings) -> compose.Model:
        """Opened once, also when several ask at the same time; it stays loaded to the end."""
        who = (settings.model, settings.api, settings.url)
        async with self.opening.setdefault(who, asyncio.Lock()):
            if who not in self.models:
                opening = compose.chat_model(settings)
                self.models[who] = await self.stack.enter_async_context(opening)
        return self.models[who]


@dataclass(slots=True)
class Agent:
    """An agent in the repository around `folder`. Its session begins with the first `run`.

    `async with Agent(model=…) as agent:` keeps the model loaded between runs; a bare
    `await Agent(model=…).run("…")` loads it for that run. A failure raises an MlxkError whose
    `data` is the report of what was done. What is not None here goes before what `config` says.
    """

    model: str | ChatModel | None = None
    tools: Sequence[str] | None = None
    system: str | None = None
    folder: Path | str = "."
    branch_name: str | None = None
    budgets: Budgets | None = None
    extra_tool_classes: Sequence[type[CustomTool]] = ()
    temperature: float | None = None
    seed: int | None = None
    api: str | None = None
    url: str | None = None
    permissions: Permissions | None = None
    config: Path | str | None = None
    _shared: _Shared | None = None
    _origin: Place | None = None  # what a branch goes on from
    _session: Session | None = None
    _held: AsyncExitStack = field(default_factory=AsyncExitStack)
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
        await self._held.aclose()
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
        shared, settings, base = self._shared, self._settings(), self._config()
        session = await self._begun(shared.scribe, settings, prompt)
        model = await self._model(shared, settings)
        job = Job(
            session,
            shared.scribe,
            model.chat,
            settings,
            bounds=Bounds(self.budgets or base.budgets, base.limits),
            extra_tools=[_adapted(tool()) for tool in self.extra_tool_classes],
            load_s=model.load_s,
        )
        check = check or base.check
        ended = await job.run(Order(prompt, check, schema), listener)
        reraise_cancellation()
        if ended.error is not None:
            ended.error.data = ended.report
            raise ended.error
        return ended.report

    def configure(self, config: Path | str) -> None:
        """Another configuration from the next run on; files and conversation stay.

        NotFound, InvalidDocument: then nothing has changed.
        """
        replace(self, config=config)._settings()
        self.config = config

    def branch(self, name: str | None = None) -> "Agent":
        """Another agent that goes on from this one's present state, on a branch of its own, which
        its first run makes.
        """
        if self._shared is None or self._session is None:
            raise RuntimeError(
                "branch() goes on from a run: use `async with Agent(…)` and run first"
            )
        record, held = self._session.record, AsyncExitStack()
        self._shared.stack.push_async_callback(held.aclose)
        return replace(
            self,
            branch_name=name,
            _origin=Place(record, record.step, record.head, record.code),
            _session=None,
            _held=held,
            _owns=False,
        )

    async def spawn(self, prompts: Sequence[str]) -> list[Report | BaseException]:
        """Several branches from here, at once: one report, or error, for each prompt."""
        agents = [self.branch() for _ in prompts]

        async def one(agent: "Agent", prompt: str) -> Report:
            async with agent:
                return await agent.run(prompt)

        runs = (one(agent, prompt) for agent, prompt in zip(agents, prompts, strict=True))
        return await asyncio.gather(*runs, return_exceptions=True)

    async def _begun(self, scribe: Scribe, settings: Settings, prompt: str) -> Session:
        """This agent's session, made where it has none yet."""
        if self._session is None:

            def make(store: Store) -> Session:
                name, origin = self.branch_name, self._origin
                if origin is None:
                    return compose.session(store, compose.Start(settings, None), prompt, name=name)
                name = name or origin.record.name
                return compose.fork(store, origin, settings, name, clock.now())

            self._session = await self._held.enter_async_context(scribe.holding(make))
        return self._session

    def _config(self) -> Config:
        if self.config is None:
            return Config()
        folders = (Path(self.folder) / "agents", paths.home() / "agents")
        return load(str(self.config), folders)

    def _settings(self) -> Settings:
        known = self.model is None or isinstance(self.model, str)
        named = {
            "model": self.model if known else type(self.model).__name__,
            "system": self.system,
            "tools": None if self.tools is None else tool_names(self.tools),
            "temperature": self.temperature,
            "seed": self.seed,
            "api": self.api,
            "url": self.url,
            "permissions": self.permissions,
        }
        return Settings(_DEFAULT).overridden(self._config().given).overridden(named)

    async def _model(self, shared: _Shared, settings: Settings) -> compose.Model:
        if self.model is None or isinstance(self.model, str):
            return await shared.model(settings)
        return compose.Model(self.model)

    async def _open(self) -> _Shared:
        async with AsyncExitStack() as stack:
            store = stack.enter_context(Store.open(Path(self.folder), paths.home()))
            shared = _Shared(stack, stack.enter_context(Scribe(store)))
            await self._model(shared, self._settings())
            shared.stack = stack.pop_all()
            return shared


def _adapted(tool: CustomTool) -> AgentTool:
    async def run(arguments: dict[str, Any], context: Context) -> Result:
        return Result(await tool.run(arguments, context.workspace.root), None)

    return AgentTool(Tool(tool.name, tool.description, tool.parameters), run)
