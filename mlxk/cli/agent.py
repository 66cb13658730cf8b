"""`mlxk agent`: compose session, model and loop; show events; answer with a report."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mlxk.cli.main import Terminated
from mlxk.cli.registry import command

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mlxk.agent.agent import Ended
    from mlxk.agent.events import Event
    from mlxk.agent.limits import Budgets
    from mlxk.agent.report import Report
    from mlxk.cli.compose import Start
    from mlxk.history.store import Store


def _text(report: "Report", _: dict[str, Any]) -> str:
    """The closing words have been shown as they came; here is what remains of them."""
    lines = [
        f"  {c.status[0].upper()} {c.path} (+{c.additions} -{c.deletions})"
        for c in report.files_changed
    ]
    lines.append(f"branch  {report.branch}  ({report.turns} turns, {len(report.commits)} commits)")
    lines.append(f"diff    git diff {report.base[:12]} {report.branch}")
    lines.append(f"resume  {report.resume}")
    return "\n".join(lines)


def _live(out: TextIO | None, err: TextIO) -> "Callable[[Event], None]":
    """People see the words on stdout and the calls on stderr; with --json nothing but stderr."""

    def show(event: "Event") -> None:
        data: Any = event.data
        match event.type:
            case "text.delta" if out is not None:
                out.write(data.text)
                out.flush()
            case "tool.started":
                if out is not None:
                    out.flush()
                err.write(f"• {data.name} {data.arguments[:200]}\n")
            case "tool.finished" if not data.ok:
                err.write(f"  {data.text.splitlines()[0][:200] if data.text else 'failed'}\n")
            case "run.finished" if out is not None:
                out.write("\n")

    return show


@command("agent", _text, live=_live)
def agent(
    prompt: Annotated[
        str | None, typer.Argument(help="What to do; `-` reads standard input and appends it.")
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    model: Annotated[
        str | None, typer.Option(help="Model to use [$MLXK_MODEL, builtin:tiny].")
    ] = None,
    api: Annotated[
        str | None, typer.Option(help="local, or openai with --url or OPENAI_API_KEY.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Base URL of an OpenAI-compatible API.")] = None,
    system: Annotated[str | None, typer.Option(help="Replace the system prompt.")] = None,
    tools: Annotated[str | None, typer.Option(help="Tools to offer, e.g. Read,Write,Edit.")] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with a session: its id, branch or a commit of it.")
    ] = None,
    branch: Annotated[str | None, typer.Option(help="Name of the new branch: mlxk/NAME.")] = None,
    clean: Annotated[
        bool, typer.Option("--clean", help="Start from HEAD, without your uncommitted work.")
    ] = False,
    network: Annotated[
        bool | None, typer.Option("--network", help="Let confined Bash use the network.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="0 is greedy.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same answers.")] = None,
    max_turns: Annotated[int, typer.Option(min=1, help="Requests to the model.")] = 50,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Output tokens, all turns together.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds for the whole run.")
    ] = None,
) -> "Generator[Event, None, Report]":
    """Let a model work in a worktree of this repository; every step is a commit on mlxk/….

    Your checkout, index and branches are never touched.

    mlxk agent "Create a file hello.txt containing Hello world"

    git diff | mlxk agent --json "review this" -

    mlxk agent --resume hello "now add a second line" --json | jq -r .data.head
    """
    from mlxk.agent.limits import Budgets
    from mlxk.agent.settings import tool_names

    given = {
        "model": model,
        "api": api or ("openai" if url else None),
        "url": url,
        "system": system,
        "tools": tool_names(tools) if tools is not None else None,
        "temperature": temperature,
        "seed": seed,
        "network": network,
    }
    words = _prompt(prompt, more or [])
    task = Task(words, given, resume, branch, clean, Budgets(max_turns, max_tokens, max_seconds))
    return (yield from _carry_out(task))


@dataclass(frozen=True, slots=True)
class Task:
    """One command line, read."""

    prompt: str
    given: dict[str, Any]
    resume: str | None
    branch: str | None
    clean: bool
    budgets: "Budgets"


def _prompt(prompt: str | None, more: list[str]) -> str:
    """The words to work on. Standard input is read when there is no prompt, or for `-`."""
    from mlxk.contract.errors import UsageError

    if unexpected := [word for word in more if word != "-"]:
        raise UsageError(f"unexpected argument {unexpected[0]!r}", hint='quote the prompt: "…"')
    parts = [] if prompt in (None, "-") else [prompt or ""]
    if prompt in (None, "-") or more:
        if prompt is None and sys.stdin.isatty():
            raise UsageError("nothing to do: give a prompt", hint='mlxk agent "…"')
        parts.append(sys.stdin.buffer.read().decode(errors="surrogateescape"))
    text = "\n\n".join(part.strip("\n") for part in parts if part.strip())
    if not text.strip():
        raise UsageError("the prompt is empty", hint='mlxk agent "…"')
    return text


def _carry_out(task: Task) -> "Generator[Event, None, Report]":
    from mlxk.cli.drive import drive_task
    from mlxk.contract.errors import Interrupted

    ended: list[Ended] = []

    async def work(listener: "Callable[[Event], object]") -> None:
        ended.append(await _work(task, listener))

    try:
        yield from drive_task(work)
    except KeyboardInterrupt as e:
        code = 143 if isinstance(e, Terminated) else 130
        data = ended[0].report if ended else None
        message = "interrupted; the work so far is kept" if ended else "interrupted"
        raise Interrupted(
            message, hint=data.resume if data else None, data=data, exit_code=code
        ) from None
    report, error = ended[0].report, ended[0].error
    if error is None:
        return report
    error.data = report
    error.hint = error.hint or report.resume
    raise error


async def _work(task: Task, listener: "Callable[[Event], object]") -> "Ended":
    from mlxk.cli import compose
    from mlxk.history.store import Store
    from mlxk.system import paths

    with Store.open(Path.cwd(), paths.home()) as store:
        start = compose.start(store, task.given, resume=task.resume)
        return await _run(task, store, start, listener)


async def _run(
    task: Task, store: "Store", start: "Start", listener: "Callable[[Event], object]"
) -> "Ended":
    from mlxk.agent.agent import Agent
    from mlxk.cli import compose

    async with compose.chat_model(start.settings) as model:
        # The engine loads in its own process while the worktree is made.
        with compose.session(
            store, start, task.prompt, name=task.branch, clean=task.clean
        ) as session:
            agent = Agent(
                session, model.chat, start.settings, budgets=task.budgets, load_s=model.load_s
            )
            return await agent.run(task.prompt, listener)
