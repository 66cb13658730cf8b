"""The schedulers' examples in the manual are what they say they are, and call what exists."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from mlxk.cli import commands as _commands  # noqa: F401
from mlxk.cli.registry import COMMANDS, path_of

PAGE = Path(__file__).parent.parent.parent / "docs" / "deployments.md"
TEXT = PAGE.read_text()


def block(language):
    return re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL).group(1)


def test_slurms_script_is_bash():
    subprocess.run(["bash", "-n"], input=block("bash").encode(), check=True)


def test_kubernetes_gets_a_deployment_with_probes():
    value = yaml.safe_load(block("yaml"))
    pod = value["spec"]["template"]["spec"]
    assert (value["kind"], value["apiVersion"]) == ("Deployment", "apps/v1")
    assert (
        value["spec"]["selector"]["matchLabels"] == value["spec"]["template"]["metadata"]["labels"]
    )
    serve = pod["containers"][0]
    assert serve["args"][0] in COMMANDS
    assert serve["readinessProbe"]["httpGet"]["path"] == "/health"
    assert pod["initContainers"][0]["args"][0] in COMMANDS


LINES = re.findall(r"^(?:    |exec )?(mlxk .*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("line", LINES)
def test_what_the_manual_calls_exists(line):
    words = shlex.split(line.partition("   ")[0].partition("||")[0])[1:]
    assert path_of(words) in COMMANDS
