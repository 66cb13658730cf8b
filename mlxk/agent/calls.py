"""One round of tool calls: prepare, run, finalise. What goes wrong in a call is its result."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mlxk.agent.arguments import checked
from mlxk.agent.events import Sender, ToolFinished, ToolOutput, ToolStarted
from mlxk.agent.permissions import Denied, Gate
from mlxk.agent.redact import Redactor, redacted
from mlxk.agent.tools.base import AgentTool, Context, Result, ToolError
from mlxk.chat.types import ToolResult, ToolUse
from mlxk.contract import encoding
from mlxk.contract.errors import MlxkError, UnsafePath
from mlxk.system.files import as_error


@dataclass(frozen=True, slots=True)
class CallRecord:
    name: str
    ok: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Denial:
    tool: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """`changed` is what to look at for the commit; None means everywhere."""

    result: ToolResult
    record: CallRecord
    changed: tuple[str, ...] | None
    denial: Denial | None


class Caller:
    """Runs calls against the tools of one agent."""

    def __init__(
        self, tools: Iterable[AgentTool], context: Context, sender: Sender, gate: Gate
    ) -> None:
        self.offer(tools)
        self._context = context
        self._sender = sender
        self._gate = gate

    def offer(self, tools: Iterable[AgentTool]) -> None:
        """What may be called from now on."""
        self._tools = {tool.spec.name: tool for tool in tools}

    async def run(self, uses: tuple[ToolUse, ...], done: list[Outcome]) -> None:
        """Fill `done` in call order; when cancelled it holds what was finished by then."""
        if len(uses) > 1 and all(self._reads_only(use) for use in uses):
            done.extend(await asyncio.gather(*map(self._one, uses)))
            return
        for use in uses:
            done.append(await self._one(use))

    def _reads_only(self, use: ToolUse) -> bool:
        tool = self._tools.get(use.name)
        return tool is not None and tool.reads_only

    async def _one(self, use: ToolUse) -> Outcome:
        self._sender.send(ToolStarted(use.id, use.name, redacted(use.arguments)))
        began = time.monotonic()
        denial: Denial | None = None
        try:
            result, ok = await self._attempt(use), True
        except ToolError as e:
            # A failed command may have written files before it failed.
            result, ok = Result(f"Error: {e}", None), False
        except (Denied, UnsafePath) as e:
            result, ok, denial = Result(f"Error: {e}"), False, Denial(use.name, str(e))
        seconds = round(time.monotonic() - began, 3)
        text = redacted(encoding.valid(result.text))
        self._sender.send(ToolFinished(use.id, use.name, ok, seconds, text))
        answer = ToolResult(use.id, text, not ok, use.name)
        return Outcome(answer, CallRecord(use.name, ok, seconds), result.changed, denial)

    async def _attempt(self, use: ToolUse) -> Result:
        tool = self._tools.get(use.name)
        if tool is None:
            raise Denied(f"tool {use.name!r} is not available; there are {', '.join(self._tools)}")
        arguments = checked(tool, use)
        about = tool.about(arguments, self._context.workspace)
        await self._gate.pass_(use.id, tool, about)
        redactor = Redactor(lambda text: self._sender.send(ToolOutput(use.id, text)))
        try:
            hidden = self._gate.hidden(use.name)
            context = replace(self._context, emit=redactor.feed, hidden=hidden)
            return await tool.run(arguments, context)
        except OSError as e:
            raise _explained(e, str(arguments.get("path", "the file"))) from e
        finally:
            redactor.flush()


def _explained(e: OSError, name: str) -> Exception:
    """A full disk ends the run; a missing file is for the model to hear."""
    match e:
        case FileNotFoundError():
            return ToolError(f"no such file: {name}")
        case IsADirectoryError():
            return ToolError(f"{name} is a folder")
        case NotADirectoryError():
            return ToolError(f"a part of {name} is not a folder")
        case PermissionError():
            return ToolError(f"permission denied: {name}")
    error: MlxkError | None = as_error(e, name)
    return error or ToolError(f"{name}: {(e.strerror or str(e)).lower()}")
