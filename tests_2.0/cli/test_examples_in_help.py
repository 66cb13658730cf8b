"""What a command's help shows can be typed: every example is a line that mlxk reads."""

import re
import shlex

import pytest

from mlxk.cli import nouns
from mlxk.cli.options import take_options
from mlxk.cli.registry import COMMANDS, Call, app

nouns.load_all()
PARTS = {"|", ">", ">>", "&&", "||", ";", "&"}


def examples(path):
    """The paragraphs of its help that are command lines, each on one line."""
    paragraphs = re.split(r"\n\s*\n", COMMANDS[path].handler.__doc__ or "")
    lines = (" ".join(paragraph.split()) for paragraph in paragraphs)
    return [line for line in lines if re.match(r"(\w+=\S+ |git .*\| )?mlxk ", line)]


def parts(line):
    """The words of each mlxk in a pipe."""
    words, found = shlex.split(line, comments=True), []
    for word in ["|", *words]:
        if word in PARTS:
            found.append([])
        else:
            found[-1].append(word)
    return [part[part.index("mlxk") + 1 :] for part in found if "mlxk" in part]


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_command_has_examples_that_can_be_typed(path):
    shown = examples(path)
    assert any(f"mlxk {path}" in line or f"mlxk agent {path}" in line for line in shown)
    for line in shown:
        for words in parts(line):
            _, argv = take_options(words, {})
            call = app(argv, prog_name="mlxk", standalone_mode=False)
            assert isinstance(call, Call), line
