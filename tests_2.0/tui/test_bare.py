"""The plain lines: what is piped in is done in order, and said in words."""

import asyncio
import io
import os

import checkout
import desks
import pytest

from mlxk.agent.permissions import Permissions
from mlxk.agent.settings import Settings
from mlxk.chat.scripted import Scripted, call
from mlxk.contract.errors import EngineFailed
from mlxk.system.lines import Lines
from mlxk.tui.bare import Bare

WRITE = call("Write", '{"path": "n.txt", "content": "hi\\n"}')
ASKING = Settings("script", permissions=Permissions("ask"))


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


@pytest.fixture
def told(home, repo):
    """`told(lines, *turns)`: what the plain face says to those lines, as if they were piped in."""

    async def run(lines, *turns, asks=False, **options):
        out, (inner, outer) = io.StringIO(), os.pipe()
        os.write(outer, "".join(f"{line}\n" for line in lines).encode())
        os.close(outer)
        async with desks.scripted(repo, home, *turns, **options) as desk:
            async with asyncio.timeout(60):
                await Bare(desk, desk.new(), Lines(inner), out, asks=asks).run()
        os.close(inner)
        return out.getvalue()

    return run


async def test_each_line_waits_for_the_one_before(told):
    model = Scripted(WRITE, "Done.", "And again.")
    text = await told(["write it", "go on", "/diff --all"], model)
    assert text.index("* Write n.txt") < text.index("Done.") < text.index("And again.")
    assert "\n+hi\n" in text
    assert model.requests[-1].messages[-1].text == "go on"


async def test_commands_are_those_of_the_full_screen(told, repo):
    lines = ["write it", "/branch --step 1 otherwise", "/tab", "/tab 1", "/land", "/help", "/nope"]
    text = await told(lines, WRITE, "Done.", "Else.")
    assert "[2] mlxk/write-it-2" in text
    assert "  1 write-it  idle\n* 2 write-it-2" in text
    assert "landed on main" in text
    assert "/branch [--from REV] [--step N | --turn N] [--name NAME] [PROMPT]" in text
    assert "usage_error: there is no command /nope" in text
    assert (repo / "n.txt").read_text() == "hi\n"


async def test_a_question_takes_the_next_line(told):
    text = await told(["write it", "always", "once more"], WRITE, WRITE, "Done.", settings=ASKING)
    assert text.count("? Write n.txt") == 2
    assert "Done." in text
    assert "! Write" not in text


async def test_at_the_end_of_input_questions_are_refused(told):
    text = await told(["write it"], WRITE, "Then not.", settings=ASKING)
    assert "refused by the user" in text


async def test_a_persons_command_is_shown(told):
    text = await told(["!printf 'a\\033[31mb\\n'; exit 3", "$exit 0"], "Hi.")
    assert text == "ab\nexit code 3\n"


async def test_the_agent_works_on_while_a_command_has_the_terminal(told, home, tmp_path):
    there = (
        f"until find '{home}' -name n.txt | grep -q .; do sleep 0.1; done; touch '{tmp_path}/seen'"
    )
    (tmp_path / "wait.sh").write_text(there)
    lines = ["write it", f"$timeout 20 sh '{tmp_path}/wait.sh'"]
    text = await told(lines, WRITE, "Done.", asks=True)
    assert (tmp_path / "seen").exists()
    assert "Done." in text


async def test_a_failure_is_told_and_the_next_line_is_taken(told):
    text = await told(["greet", "again"], EngineFailed("it died", hint="once more"), "Here.")
    assert "error: engine_failed: it died\n  once more" in text
    assert text.endswith("Here.\n")


async def test_a_person_is_invited_and_asked_before_work_goes_out_of_sight(told):
    lines = ["write it", "/exit", "n", "/exit", "y"]
    text = await told(["/tab", *lines], WRITE, "Done.", asks=True)
    assert text.startswith("new> ")
    assert "[y/N]" in text


async def test_exit_leaves_the_rest_of_the_input(told):
    model = Scripted("Hi.")
    await told(["/exit", "never said"], model)
    assert model.requests == []
