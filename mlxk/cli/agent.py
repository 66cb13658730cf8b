"""`mlxk agent`: compose session, model and loop; show events; answer with a report."""

from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mlxk.cli.registry import Ongoing, command

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mlxk.agent.config import Config
    from mlxk.agent.events import Event
    from mlxk.agent.job import Bounds, Order
    from mlxk.agent.permissions import Permissions
    from mlxk.agent.report import Report
    from mlxk.cli.web import WebPage


def _text(report: "Report | WebPage", _: dict[str, Any]) -> str:
    """The closing words have been shown as they came; here is what remains of them."""
    from mlxk.agent.tools.base import plural
    from mlxk.cli.tables import file_changes
    from mlxk.cli.web import WebPage, greeting

    if isinstance(report, WebPage):
        return greeting(report)
    lines = [file_changes(report.files_changed)] if report.files_changed else []
    turns, commits = plural(report.turns, "turn"), plural(len(report.commits), "commit")
    lines.append(f"branch  {report.branch}  ({turns}, {commits})")
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
    config: Annotated[
        str | None, typer.Option(help="Settings from a file, or a name in agents/.")
    ] = None,
    check: Annotated[
        str | None, typer.Option(help="A command that must pass, e.g. 'pytest -q'; else exit 3.")
    ] = None,
    output_schema: Annotated[
        Path | None, typer.Option(help="Give the result as JSON that obeys this schema.")
    ] = None,
    futures: Annotated[
        int, typer.Option(min=1, max=16, help="Try so many times at once; name the best.")
    ] = 1,
    land: Annotated[
        bool, typer.Option("--land", help="Bring the result to your checked-out branch.")
    ] = False,
    permissions: Annotated[
        str | None, typer.Option(help="read, workspace (default), all, or ask.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="Let a call through, e.g. 'Bash(git *)'.")
    ] = None,
    deny: Annotated[list[str] | None, typer.Option(help="Never let a call through.")] = None,
    input_format: Annotated[
        str | None, typer.Option(help="jsonl: answers to questions come on standard input.")
    ] = None,
    skill: Annotated[
        list[Path] | None, typer.Option(help="A folder with a SKILL.md to offer.")
    ] = None,
    network: Annotated[
        bool | None, typer.Option("--network", help="Let confined Bash use the network.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="0 is greedy.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same answers.")] = None,
    max_turns: Annotated[
        int | None, typer.Option(min=1, help="Requests to the model.  [default: 50]")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Output tokens, all turns together.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds for the whole run.")
    ] = None,
    max_tool_calls: Annotated[int | None, typer.Option(min=1, help="Calls of tools.")] = None,
    tool_timeout: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds for one call.  [default: 120]")
    ] = None,
    web: Annotated[bool, typer.Option("--web", help="Work in a browser, on this machine.")] = False,
    port: Annotated[str, typer.Option(help="Port of --web, or `auto` for a free one.")] = "auto",
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the link of --web, open no browser.")
    ] = False,
) -> "Generator[Event, None, Report | Ongoing]":
    """Let a model work in a worktree of this repository; every step is a commit on mlxk/….

    Your checkout, index and branches are never touched.

    mlxk agent "Create a file hello.txt containing Hello world"

    git diff | mlxk agent --json "review this" -

    mlxk agent --resume hello "now add a second line" --json | jq -r .data.head

    mlxk agent --web
    """
    from mlxk.cli.work import Task, carry_out

    base = _config(config)
    rules = _permissions(base, permissions, allow, deny)
    given = {
        **base.given,
        **_named(
            model=model,
            api=api or ("openai" if url else None),
            url=url,
            system=system,
            tools=_tools(tools),
            temperature=temperature,
            seed=seed,
            network=network,
            permissions=rules,
        ),
    }
    limits = _named(
        turns=max_turns, tokens=max_tokens, seconds=max_seconds, tool_calls=max_tool_calls
    )
    if web:
        from mlxk.cli.web import Wanted, page

        unfit: dict[str, object] = {"--futures": futures > 1, "--land": land, "--branch": branch}
        unfit |= {"--output-schema": output_schema, "--input-format": input_format}
        wanted = Wanted(
            given,
            _bounds(base, limits, tool_timeout),
            port,
            check=check or base.check,
            prompt=_prompt(prompt, more or [], None) if prompt else None,
            resume=resume,
            clean=clean,
            browser=not no_open,
            unfit=tuple(flag for flag, value in unfit.items() if value),
        )
        return page(wanted)
    ask = _asking(rules, input_format)
    task = Task(
        order=_order(_prompt(prompt, more or [], ask), check or base.check, output_schema),
        given=given,
        bounds=_bounds(base, limits, tool_timeout),
        resume=resume,
        branch=branch,
        clean=clean,
        futures=futures,
        ask=ask,
        skills=tuple(skill or ()),
        land=land,
    )
    ended = yield from carry_out(task)
    if ended.error is None:
        return ended.report
    ended.error.data = ended.report
    ended.error.hint = ended.error.hint or ended.report.resume
    raise ended.error


def _named(**values: Any) -> dict[str, Any]:
    """Only what was typed: the rest is left to the session, the file, the defaults."""
    from mlxk.contract.errors import InvalidValue

    for name, value in values.items():
        if isinstance(value, float) and not isfinite(value):
            raise InvalidValue(f"{name} is not a number: {value}")
    return {name: value for name, value in values.items() if value is not None}


def _config(name: str | None) -> "Config":
    from mlxk.agent.config import Config, load
    from mlxk.system import paths

    return Config() if name is None else load(name, (Path("agents"), paths.home() / "agents"))


def _tools(text: str | None) -> tuple[str, ...] | None:
    from mlxk.agent.settings import tool_names

    return None if text is None else tool_names(text)


def _permissions(
    base: "Config", mode: str | None, allow: list[str] | None, deny: list[str] | None
) -> "Permissions | None":
    """What the file says, with the flags added; None when neither says anything."""
    from mlxk.agent.permissions import MODES, Mode, Permissions, rule
    from mlxk.contract.errors import InvalidValue

    written: Permissions | None = base.given.get("permissions")
    if mode is None and not allow and not deny:
        return written
    known: dict[str, Mode] = {name: name for name in MODES}
    if mode is not None and mode not in known:
        raise InvalidValue(f"no permission mode {mode!r}", hint=f"one of {', '.join(MODES)}")
    before = written or Permissions()
    return Permissions(
        known[mode] if mode else before.mode,
        (*before.allow, *map(rule, allow or ())),
        (*before.deny, *map(rule, deny or ())),
    )


def _asking(rules: "Permissions | None", input_format: str | None) -> str | None:
    """Where answers come from, when anything may be asked."""
    from mlxk.cli import words
    from mlxk.contract.errors import InvalidValue

    if input_format not in (None, "jsonl"):
        raise InvalidValue(f"no input format {input_format!r}", hint="--input-format jsonl")
    if input_format or rules is None or rules.mode != "ask":
        return input_format
    return "terminal" if words.is_terminal() else None


def _bounds(base: "Config", limits: dict[str, Any], tool_timeout: float | None) -> "Bounds":
    from mlxk.agent.job import Bounds

    calls = replace(base.limits, **_named(timeout_s=tool_timeout))
    return Bounds(replace(base.budgets, **limits), calls)


def _order(prompt: str, check: str | None, schema: Path | None) -> "Order":
    from mlxk.agent.job import Order
    from mlxk.cli.question import read_schema

    return Order(prompt, check, read_schema(schema) if schema else None)


def _prompt(prompt: str | None, more: list[str], ask: str | None) -> str:
    """The words to work on. Standard input is read when there is no prompt, or for `-`."""
    from mlxk.cli import words
    from mlxk.contract import encoding
    from mlxk.contract.errors import UsageError

    if unexpected := [extra for extra in more if extra != "-"]:
        raise UsageError(f"unexpected argument {unexpected[0]!r}", hint='quote the prompt: "…"')
    parts = [] if prompt in (None, "-") else [prompt or ""]
    if prompt in (None, "-") or more:
        if words.is_terminal() or ask == "jsonl":
            raise UsageError("nothing to do: give a prompt", hint='mlxk agent "…"')
        parts.append(words.standard_input())
    text = "\n\n".join(part.strip("\n") for part in parts if part.strip())
    if not text.strip():
        raise UsageError("the prompt is empty", hint='mlxk agent "…"')
    return encoding.valid(text)
