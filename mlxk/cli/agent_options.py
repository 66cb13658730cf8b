"""The options of `mlxk agent`, by what they are about. What each means is its help."""

from pathlib import Path
from typing import Annotated

import typer

# What to do.
Prompt = Annotated[
    str | None, typer.Argument(help="What to do; `-` reads standard input and appends it.")
]
More = Annotated[list[str] | None, typer.Argument(hidden=True)]

# Who does it: these are kept with the session.
Model = Annotated[str | None, typer.Option(help="Model to use [$MLXK_MODEL, builtin:tiny].")]
Api = Annotated[
    str | None,
    typer.Option(help="local, openai, anthropic, gemini, codex, deepseek or openrouter."),
]
Url = Annotated[
    str | None, typer.Option(help="Base URL of a server of that format (default: openai).")
]
System = Annotated[str | None, typer.Option(help="Replace the system prompt.")]
Tools = Annotated[str | None, typer.Option(help="Tools to offer, e.g. Read,Edit,Lsp.")]
Skills = Annotated[list[Path] | None, typer.Option(help="A folder with a SKILL.md to offer.")]
Temperature = Annotated[float | None, typer.Option(min=0, max=2, help="0 is greedy.")]
Seed = Annotated[int | None, typer.Option(help="Same seed, same answers.")]
ConfigName = Annotated[str | None, typer.Option(help="Settings from a file, or a name in agents/.")]

# Where it begins.
Resume = Annotated[
    str | None, typer.Option(help="Go on with a session: its id, branch or a commit of it.")
]
Branch = Annotated[str | None, typer.Option(help="Name of the new branch: mlxk/NAME.")]
NoGit = Annotated[
    bool,
    typer.Option("--no-git", help="In a folder without git: keep the history below $MLXK_HOME."),
]
Clean = Annotated[
    bool, typer.Option("--clean", help="Start from HEAD, without your uncommitted work.")
]

# When it is good.
Check = Annotated[
    str | None, typer.Option(help="A command that must pass, e.g. 'pytest -q'; else exit 3.")
]
OutputSchema = Annotated[
    Path | None, typer.Option(help="Give the result as JSON that obeys this schema.")
]
Futures = Annotated[
    int, typer.Option(min=1, max=16, help="Try so many times at once; name the best.")
]
Land = Annotated[bool, typer.Option("--land", help="Bring the result to your checked-out branch.")]

# What it may do.
Mode = Annotated[str | None, typer.Option(help="read, workspace (default), all, or ask.")]
Allow = Annotated[list[str] | None, typer.Option(help="Let a call through, e.g. 'Bash(git *)'.")]
Deny = Annotated[list[str] | None, typer.Option(help="Never let a call through.")]
InputFormat = Annotated[
    str | None, typer.Option(help="jsonl: answers to questions come on standard input.")
]
Network = Annotated[
    bool | None, typer.Option("--network", help="Let confined Bash use the network.")
]

Leash = Annotated[
    str | None,
    typer.Option(help="Let another program do the work: claude, codex, gemini, or none."),
]

# How much it may use.
MaxTurns = Annotated[int | None, typer.Option(min=1, help="Requests to the model.  [default: 50]")]
MaxTokens = Annotated[int | None, typer.Option(min=1, help="Output tokens, all turns together.")]
MaxSeconds = Annotated[float | None, typer.Option(min=0.001, help="Seconds for the whole run.")]
MaxToolCalls = Annotated[int | None, typer.Option(min=1, help="Calls of tools.")]
ToolTimeout = Annotated[
    float | None, typer.Option(min=0.001, help="Seconds for one call.  [default: 120]")
]

# How it is shown.
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the first request and its size; do nothing.")
]
Web = Annotated[bool, typer.Option("--web", help="Work in a browser, on this machine.")]
Port = Annotated[str, typer.Option(help="Port of --web, or `auto` for a free one.")]
NoOpen = Annotated[
    bool, typer.Option("--no-open", help="Print the link of --web, open no browser.")
]
Stream = Annotated[
    Path | None, typer.Option(help="Append the run to this file as it goes, for `tail -f`.")
]
Bare = Annotated[bool, typer.Option("--bare", help="Plain lines instead of the full screen.")]
