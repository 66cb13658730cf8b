"""The options that every command has: taken out of argv before typer sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TRUE = {"1", "true", "yes", "on"}
# Names that people know from other programs.
_ALIASES = {
    "models": ["catalog", "list"],
    "list-deployments": ["deploy", "list"],
    "start": ["up"],
    "start-all": ["up", "--all"],
    "install-all": ["install", "--all"],
    "uninstall-all": ["uninstall", "--all"],
    "stop": ["down"],
    "stop-all": ["down", "--all"],
}


@dataclass(frozen=True, slots=True)
class Options:
    """`events` implies `json`; `validate` checks every envelope against its schema."""

    json: bool = False
    events: bool = False
    validate: bool = True


def take_options(argv: Sequence[str], env: Mapping[str, str]) -> tuple[Options, list[str]]:
    """`--json` and `--events` are accepted anywhere before `--`; `--version` is `version`."""
    stop = argv.index("--") if "--" in argv else len(argv)
    before = argv[:stop]
    events = "--events" in before
    as_json = events or "--json" in before or env.get("MLXK_JSON", "").lower() in _TRUE
    rest = [a for a in before if a not in {"--json", "--events"}]
    if rest[:1] == ["--version"]:
        rest[0] = "version"
    rest[:1] = _ALIASES.get(rest[0], rest[:1]) if rest else []
    if rest[:2] == ["agent", "replay"]:
        rest[:2] = ["replay"]
    options = Options(as_json, events, env.get("MLXK_VALIDATE", "1").lower() != "0")
    return options, [*rest, *argv[stop:]]
