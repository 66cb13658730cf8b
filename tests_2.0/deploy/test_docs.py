"""The schedulers' examples in the manual are what they say they are, and call what exists."""

import re
import shlex
import subprocess
from pathlib import Path

import orjson
import pytest
import yaml

from mlxk.cli import commands as _commands  # noqa: F401
from mlxk.cli.registry import COMMANDS, path_of
from mlxk.deploy import stack

PAGE = Path(__file__).parent.parent.parent / "docs" / "deployments.md"
TEXT = PAGE.read_text()


def block(language):
    return re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL).group(1)


SBATCH = {"gres", "time", "signal", "cpus-per-task", "mem", "partition", "job-name", "output"}


def test_slurms_script_is_bash_with_directives_that_sbatch_knows():
    script = block("bash")
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)
    first, *rest = script.splitlines()
    directives = [line for line in rest if line.startswith("#SBATCH")]
    assert (first, rest[: len(directives)]) == ("#!/bin/bash", directives)
    options = [word for line in directives for word in shlex.split(line.removeprefix("#SBATCH"))]
    found = dict(word.removeprefix("--").split("=", 1) for word in options)
    assert found.keys() <= SBATCH
    assert re.fullmatch(r"B:TERM@\d+", found["signal"]), "the script itself gets it, in time"


def test_nomad_reads_the_job():
    import hcl2

    job = hcl2.loads(block("hcl"))["job"][0]['"model"']
    task = job["group"][0]['"serve"']["task"][0]['"mlxk"']
    assert task["config"][0]["args"][0].strip('"') in COMMANDS
    assert task["service"][0]["check"][0]["path"].strip('"') == "/health"


def test_kubernetes_accepts_the_deployment_and_its_probes():
    import kubernetes_validate

    value = yaml.safe_load(block("yaml"))
    kubernetes_validate.validate(value, kubernetes_validate.latest_version(), strict=True)
    pod = value["spec"]["template"]["spec"]
    assert (value["kind"], value["apiVersion"]) == ("Deployment", "apps/v1")
    assert (
        value["spec"]["selector"]["matchLabels"] == value["spec"]["template"]["metadata"]["labels"]
    )
    serve = pod["containers"][0]
    assert serve["args"][0] in COMMANDS
    assert serve["readinessProbe"]["httpGet"]["path"] == "/health"
    assert pod["initContainers"][0]["args"][0] in COMMANDS


def test_the_stack_of_the_manual_is_valid():
    value = stack.parse(orjson.loads(block("json")), "the example")
    assert value.after("standard") == ("large", "small")
    assert not value.cloud.enabled


LINES = re.findall(r"^(?:    |exec )?(mlxk .*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("line", LINES)
def test_what_the_manual_calls_exists(line):
    words = shlex.split(line.partition("   ")[0].partition("||")[0])[1:]
    assert path_of(words) in COMMANDS
