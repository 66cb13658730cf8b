"""`mlxk agent`: compose session, model and loop; show events; answer with a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mlxk.cli import agent_options as options
from mlxk.cli.registry import Ongoing, command

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mlxk.agent.events import Event
    from mlxk.agent.rehearsal import Rehearsal
    from mlxk.agent.report import Report
    from mlxk.cli.web import WebPage


def summary(report: "Report | WebPage | Rehearsal", _: dict[str, Any]) -> str:
    """The closing words have been shown as they came; here is what remains of them."""
    from mlxk.agent.rehearsal import Rehearsal, script
    from mlxk.agent.tools.base import plural
    from mlxk.cli.web import WebPage, greeting
    from mlxk.history.diff import listed

    if isinstance(report, WebPage):
        return greeting(report)
    if isinstance(report, Rehearsal):
        return script(report)
    lines = [listed(report.files_changed)] if report.files_changed else []
    turns, commits = plural(report.turns, "turn"), plural(len(report.commits), "commit")
    lines.append(f"branch  {report.branch}  ({turns}, {commits})")
    lines.append(f"diff    git diff {report.base[:12]} {report.branch}")
    lines.append(f"resume  {report.resume}")
    if (landed := report.landed) is not None:
        lines.append(f"landed  {landed.branch} is at {landed.commit[:12]}")
        lines += [f"undo    {landed.undo}"] if landed.undo else []
    return "\n".join(lines)


def live(out: TextIO | None, err: TextIO) -> "Callable[[Event], None]":
    """People see the words on stdout and the calls on stderr; with --json nothing but stderr."""
    from mlxk.system.terminal import shown

    is_line_open = False

    def show(event: "Event") -> None:
        nonlocal is_line_open
        data: Any = event.data
        match event.type:
            case "turn.started" if out is not None and is_line_open:
                out.write("\n")
                is_line_open = False
            case "text.delta" if out is not None:
                out.write(shown(data.text, out))
                out.flush()
                is_line_open = not data.text.endswith("\n")
            case "tool.started":
                if out is not None:
                    out.flush()
                err.write(shown(f"• {data.name} {data.arguments[:200]}\n", err))
            case "tool.finished" if not data.ok:
                line = data.text.splitlines()[0][:200] if data.text else "failed"
                err.write(shown(f"  {line}\n", err))
            case "retry":
                err.write(shown(f"  again in {data.wait_s:g} s: {data.reason}\n", err))
            case "run.finished" if out is not None:
                out.write("\n")

    return show


@command("agent", summary, live=live)
def agent(
    prompt: options.Prompt = None,
    more: options.More = None,
    model: options.Model = None,
    api: options.Api = None,
    url: options.Url = None,
    system: options.System = None,
    tools: options.Tools = None,
    resume: options.Resume = None,
    branch: options.Branch = None,
    clean: options.Clean = False,
    no_git: options.NoGit = False,
    config: options.ConfigName = None,
    check: options.Check = None,
    output_schema: options.OutputSchema = None,
    futures: options.Futures = 1,
    land: options.Land = False,
    permissions: options.Mode = None,
    allow: options.Allow = None,
    deny: options.Deny = None,
    input_format: options.InputFormat = None,
    skill: options.Skills = None,
    network: options.Network = None,
    leash: options.Leash = None,
    temperature: options.Temperature = None,
    seed: options.Seed = None,
    max_turns: options.MaxTurns = None,
    max_tokens: options.MaxTokens = None,
    max_seconds: options.MaxSeconds = None,
    max_tool_calls: options.MaxToolCalls = None,
    tool_timeout: options.ToolTimeout = None,
    dry_run: options.DryRun = False,
    stream: options.Stream = None,
    web: options.Web = False,
    port: options.Port = "auto",
    no_open: options.NoOpen = False,
    bare: options.Bare = False,
) -> "Generator[Event, None, Report | Ongoing | Rehearsal | None]":
    """Let a model work in a worktree of this repository; every step is a commit on mlxk/….

    Your checkout, index and branches are never touched.

    mlxk agent "Create a file hello.txt containing Hello world"

    git diff | mlxk agent --json "review this" -

    mlxk agent --resume hello "now add a second line" --json | jq -r .data.head

    mlxk agent --leash codex "fix the failing test" --check "pytest -q"

    mlxk agent --web

    mlxk agent
    """
    from mlxk.cli.face import DeskWanted, for_people, has_screen, open_terminal, wants_json

    def typed() -> DeskWanted:
        from mlxk.cli import agent_reading as reading

        base = reading.config(config)
        given = reading.settings(
            base,
            model=model,
            api=api,
            url=url,
            system=system,
            tools=tools,
            skills=skill,
            temperature=temperature,
            seed=seed,
            network=network,
            permissions=reading.rules(base, permissions, allow or (), deny or ()),
        )
        bounds = reading.bounds(
            base,
            tool_timeout,
            turns=max_turns,
            tokens=max_tokens,
            seconds=max_seconds,
            tool_calls=max_tool_calls,
        )
        return DeskWanted(given, bounds, check or base.check, resume, clean)

    if web or bare or (prompt is None and not more and input_format is None and has_screen()):
        unfit: dict[str, object] = {"--futures": futures > 1, "--land": land, "--branch": branch}
        unfit |= {"--output-schema": output_schema, "--input-format": input_format}
        unfit |= {"--dry-run": dry_run, "--leash": leash, "--stream": stream}
        unfit |= {"--bare": web and bare, "--json": bare and not web and wants_json()}
        first = for_people(unfit, prompt, more, web=web, bare=bare)
        wanted = typed() if web or no_git else None
        if no_git:
            _without_git()
        if wanted is not None and web:
            from mlxk.cli.web import Wanted, page

            return page(Wanted(wanted, port, prompt=first, browser=not no_open))
        open_terminal(typed, resume=resume, prompt=first, bare=bare)
        return None
    if no_open or port != "auto":
        from mlxk.contract.errors import UsageError

        flag = "--no-open" if no_open else "--port"
        raise UsageError(f"{flag} goes with --web", hint="mlxk agent --web")
    from mlxk.cli import agent_reading as reading
    from mlxk.cli.leash import leash as on_leash
    from mlxk.cli.work import Task, carry_out, make_store, rehearse

    wanted = typed()
    answers = reading.input_format(input_format)
    words = reading.prompt(prompt, more or (), is_stdin_taken=answers is not None)
    task = Task(
        order=reading.order(words, wanted.check, output_schema),
        given=wanted.given,
        bounds=wanted.bounds,
        resume=resume,
        branch=branch,
        clean=clean,
        futures=futures,
        input_format=answers,
        land=land,
        stream=stream,
        leash=on_leash(leash, wanted.given, {"--dry-run": dry_run, "--input-format": answers}),
    )
    if dry_run:
        return rehearse(task, no_git=no_git)
    if no_git:
        make_store(task)
    ended = yield from carry_out(task)
    if ended.error is None:
        return ended.report
    ended.error.data = ended.report
    ended.error.hint = ended.error.hint or ended.report.resume
    raise ended.error


def _without_git() -> None:
    """From now on every command in this folder finds the store."""
    from mlxk.history.store import Store
    from mlxk.system import paths

    Store.without_git(Path.cwd(), paths.home()).close()
