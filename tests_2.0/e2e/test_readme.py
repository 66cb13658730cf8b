"""The README's commands work as they are printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import checkout
import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
PIPELINES = re.search(r"```bash\n(.*?)```", README, re.DOTALL).group(1).splitlines()
AGENT = (Path(__file__).parents[2] / "docs" / "agent.md").read_text(encoding="utf-8")
_PART = AGENT.partition("## Pipelines")[2]
AGENT_PIPELINES = re.search(r"```bash\n(.*?)```", _PART, re.DOTALL).group(1).splitlines()
PYTHON = re.search(r"```python\n(.*?)```", AGENT, re.DOTALL).group(1)


@pytest.fixture
def shell(home, tmp_path):
    repo = checkout.make(tmp_path / "project")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(line):
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=repo,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def test_the_session_in_the_readme_is_what_happens(shell):
    for block in CONSOLE:
        for command, _ in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE):
            done = shell(command)
            assert done.returncode == 0, (command, done.stderr)
    assert shell("git status --porcelain").stdout == ""


def test_the_readme_shows_the_real_answer(shell):
    command, shown = re.match(r"\$ ([^\n]*)\n(.*)", CONSOLE[0], re.DOTALL).groups()
    real = shell(command).stdout
    steady = [re.sub(r"[0-9a-f]{40}", "0" * 40, text).strip() for text in (real, shown)]
    assert steady[0] == steady[1]


@pytest.mark.parametrize("line", PIPELINES)
def test_a_pipeline_of_the_readme_works(shell, line):
    done = shell(line.replace('"…"', '"Create a file hello.txt containing Hello world"'))
    assert done.returncode == 0, done.stderr
    assert "health" in line or done.stdout.strip() not in ("", "null")


@pytest.mark.parametrize("line", AGENT_PIPELINES)
def test_a_pipeline_of_the_agents_page_works(shell, line):
    done = shell(line)
    if "max-turns" in line:  # the run itself ends with 4, as it should
        assert done.stdout == "true\n"
    else:
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() not in ("", "null", "false")


def test_the_python_of_the_agents_page_works(shell):
    imports, body = PYTHON.split("\n\n", 1)
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    end = "    assert [len(r.files_changed) for r in [report, *futures]] == [1, 1, 1]"
    program = (
        f"import asyncio\n{imports}\n\nasync def main():\n{lines}\n{end}\n\nasyncio.run(main())\n"
    )
    done = shell(f"python - <<'END'\n{program}END")
    assert done.returncode == 0, done.stderr


def test_the_two_set_up_commands_are_where_ci_looks_for_them():
    blocks = re.findall(r"<!-- (\w+) -->\n\n    (.*)\n\n<!-- end -->", README)
    assert [name for name, _ in blocks] == ["main", "test"]
    assert len(README.splitlines()) <= 150
