"""Words that people know from other programs mean our commands, anywhere --json may stand."""

import pytest

from mlxk.cli import commands as _commands  # noqa: F401
from mlxk.cli.options import take_options
from mlxk.cli.registry import COMMANDS, path_of


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("start a --no-wait", "up a --no-wait"),
        ("stop", "down"),
        ("--json start-all", "up --all"),
        ("stop-all --json", "down --all"),
        ("models --family qwen3", "catalog list --family qwen3"),
        ("list-deployments", "deploy list"),
        ("install-all --dry-run", "install --all --dry-run"),
        ("uninstall-all", "uninstall --all"),
        ("up start", "up start"),
        ("run stop", "run stop"),
        ("", ""),
    ],
)
def test_an_alias_is_the_first_word_only(line, meant):
    assert take_options(line.split(), {})[1] == meant.split()


@pytest.mark.parametrize("word", ["start", "stop", "models", "list-deployments", "install-all"])
def test_an_alias_names_a_command_and_is_none(word):
    assert word not in COMMANDS
    assert path_of(take_options([word], {})[1]) in COMMANDS
