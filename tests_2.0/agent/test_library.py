"""The Python API, skills, custom tools and sub-agents."""

import asyncio
import os

import checkout
import pytest
from processes import descendants

from mlxk.agent import Agent, skills
from mlxk.chat.scripted import Scripted, call
from mlxk.contract.errors import EmptyAnswer, InvalidDocument

WRITE = call("Write", '{"path": "n.txt", "content": "hi"}')


@pytest.fixture
def repo(home, tmp_path):
    return checkout.make(tmp_path / "repo")


async def test_one_line_runs_the_embedded_model(repo):
    ask = "Create a file hello.txt containing Hello world"
    report = await Agent(model="builtin:tiny", tools=["Read", "Write"], folder=repo).run(ask)
    assert [c.files for c in report.commits] == [("hello.txt",)]
    assert checkout.git(repo, "show", f"{report.branch}:hello.txt") == "Hello world"


async def test_an_agent_goes_on_and_branches(repo):
    async with Agent(model=Scripted(WRITE, "Done."), folder=repo) as agent:
        first = await agent.run("write it")
        async with agent.branch("other") as other:
            second = await other.run("go on")
    assert second.session != first.session
    assert second.branch == "mlxk/other"
    assert second.head == first.head


async def test_many_branches_work_at_once(repo):
    async with Agent(model=Scripted("Hm.", WRITE, WRITE, "Done."), folder=repo) as agent:
        await agent.run("think")
        reports = await agent.spawn(["a", "b"])
    assert len({r.session for r in reports}) == 2
    assert checkout.git(repo, "fsck", "--strict", "--no-dangling") == ""


async def test_a_failure_raises_with_its_report(repo):
    with pytest.raises(EmptyAnswer) as caught:
        await Agent(model=Scripted(""), folder=repo).run("say something")
    assert caught.value.data.stop_reason == "empty_answer"


class Shout:
    name = "Shout"
    description = "Write in capitals."
    parameters = {"type": "object", "properties": {"text": {"type": "string"}}}  # noqa: RUF012

    async def run(self, arguments, folder):
        (folder / "shout.txt").write_text(arguments["text"].upper())
        return "shouted"


async def test_a_tool_of_the_callers_own(repo):
    model = Scripted(call("Shout", '{"text": "hi"}'), "Done.")
    report = await Agent(model=model, folder=repo, extra_tool_classes=[Shout]).run("shout hi")
    assert [f.path for f in report.files_changed] == ["shout.txt"]
    assert model.requests[1].messages[-1].parts[0].text == "shouted"


CHILD = call("Agent", '{"prompt": "write n.txt", "tools": "Write,Read"}')


async def test_a_sub_agents_work_comes_back(repo):
    model = Scripted(CHILD, WRITE, "Child is done.", "All done.")
    tools = ["Read", "Write", "Bash", "Agent"]
    report = await Agent(model=model, tools=tools, folder=repo).run("delegate")
    child = model.requests[1]
    assert [tool.name for tool in child.tools] == ["Read", "Write"]
    assert [m.text for m in child.messages[1:]] == ["write n.txt"]
    result = model.requests[-1].messages[-1].parts[0].text
    assert result == "Child is done.\nchanged n.txt"
    assert [f.path for f in report.files_changed] == ["n.txt"]


async def test_a_sub_agent_never_has_a_tool_its_parent_lacks(repo):
    model = Scripted(call("Agent", '{"prompt": "x", "tools": "Bash"}'), WRITE, "Done.")
    await Agent(model=model, tools=["Write", "Agent"], folder=repo).run("delegate")
    refused = model.requests[1].messages[-1].parts[0].text
    assert refused == "Error: a helper cannot have Bash: it may use Write, Agent"


async def test_sub_agents_end_at_the_third_level(repo):
    deeper = call("Agent", '{"prompt": "go deeper"}')
    model = Scripted(deeper, deeper, "bottom", "middle", "top")
    await Agent(model=model, tools=["Ls", "Agent"], folder=repo).run("dig")
    offered = [[tool.name for tool in request.tools] for request in model.requests[:3]]
    assert offered == [["Ls", "Agent"], ["Ls", "Agent"], ["Ls"]]


async def test_a_sub_agent_gets_half_of_what_is_left(repo):
    from mlxk.agent.limits import Budgets

    model = Scripted(CHILD, call("Ls", "{}"), call("Ls", '{"path": "."}'), WRITE, "Top is done.")
    agent = Agent(model=model, tools=["Ls", "Write", "Read", "Agent"], folder=repo)
    agent.budgets = Budgets(turns=5)
    await agent.run("delegate")
    said = [r.messages[-1].parts[0].text for r in model.requests]
    result = next(text for text in said if "did not finish" in text)
    assert "budget of 2 turns is used up" in result


def skill(folder, name, text):
    (folder / name).mkdir(parents=True)
    (folder / name / "SKILL.md").write_text(text)


async def test_a_skill_is_offered_and_read(tmp_path):
    skill(
        tmp_path / "mine", "pdf", "---\nname: pdf\ndescription: Read PDF files\n---\nUse pdftotext."
    )
    skill(tmp_path / "ours", "pdf", "Another one.")
    skill(tmp_path / "ours", "plain", "Just text.")
    found = skills.found((tmp_path / "mine", tmp_path / "ours"))
    tool = skills.tool(found)
    assert "pdf: Read PDF files" in tool.spec.description
    assert (await tool.run({"name": "pdf"}, None)).text == "Use pdftotext."
    assert (await tool.run({"name": "plain"}, None)).text == "Just text."


def test_a_broken_skill_is_named(tmp_path):
    skill(tmp_path, "bad", "---\nname: [\n---\ntext")
    with pytest.raises(InvalidDocument, match=r"bad/SKILL\.md"):
        skills.at(tmp_path / "bad")


def test_importing_the_package_stays_light():
    import subprocess
    import sys

    probe = "import sys, mlxk.agent; print('dulwich' in sys.modules, 'asyncio' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
    assert asyncio.iscoroutinefunction(Agent.run)


async def test_a_link_that_a_sub_agent_made_stays_a_link(repo, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("outside")
    link = call("Bash", f'{{"command": "ln -s {secret} leak"}}')
    delegate = call("Agent", '{"prompt": "link it"}')
    model = Scripted(delegate, link, "Linked.", "Done.")
    report = await Agent(model=model, tools=["Bash", "Agent"], folder=repo).run("delegate")
    assert checkout.git(repo, "cat-file", "-p", f"{report.branch}:leak") == str(secret)
    assert checkout.git(repo, "ls-tree", report.branch, "leak").startswith("120000")


async def test_cancelling_ends_the_parent_of_a_sub_agent_too(repo):
    slow = Scripted(call("Agent", '{"prompt": "x"}'), "a b c", delay_s=0.3)
    agent = Agent(model=slow, tools=["Ls", "Agent"], folder=repo)
    task = asyncio.create_task(agent.run("delegate"))
    while len(slow.requests) < 2:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(slow.requests) == 2


async def test_a_timeout_around_a_run_is_a_timeout(repo):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await Agent(model=Scripted("x", delay_s=5), folder=repo).run("wait")


def test_a_skill_that_is_a_link_out_is_skipped(tmp_path):
    skill(tmp_path / "away", "x", "secret")
    (tmp_path / "skills").mkdir()
    (tmp_path / "skills" / "x").symlink_to(tmp_path / "away" / "x")
    assert skills.found((tmp_path / "skills",)) == ()


REVIEWER = """
system: You review.
tools: [Read, Agent]
permissions: {mode: read, deny: ["Read(secret*)"]}
limits: {turns: 3}
agents:
  scout: {description: looks around, system: You scout., tools: [Read], turns: 1}
"""


async def test_another_configuration_keeps_the_conversation(repo, tmp_path):
    (tmp_path / "reviewer.yaml").write_text(REVIEWER)
    model = Scripted(WRITE, "Written.", "Reviewed.", "Again.")
    async with Agent(model=model, folder=repo) as agent:
        first = await agent.run("write it")
        agent.configure(tmp_path / "reviewer.yaml")
        second = await agent.run("review it")
    asked = model.requests[2]
    assert [m.text for m in asked.messages if m.role == "user"] == ["write it", "review it"]
    assert asked.messages[0].text == "You review."
    assert [tool.name for tool in asked.tools] == ["Read", "Agent"]
    assert (first.session, second.budgets["turns"]) == (second.session, (1, 3))
    settings = meta(repo, second.session)
    assert (settings.system, settings.permissions.mode) == ("You review.", "read")
    assert len(settings.config) == 64


async def test_a_bad_configuration_changes_nothing(repo, tmp_path):
    (tmp_path / "bad.yaml").write_text("colour: red\n")
    model = Scripted("Hm.")
    async with Agent(model=model, folder=repo) as agent:
        await agent.run("think")
        with pytest.raises(InvalidDocument):
            agent.configure(tmp_path / "bad.yaml")
        await agent.run("again")
    assert model.requests[0].tools == model.requests[1].tools


async def test_who_ask_for_a_model_at_the_same_time_share_it(repo):
    async with Agent(model=Scripted("Hm."), folder=repo) as agent:
        await agent.run("think")
        before = set(descendants(os.getpid()))
        branches = [agent.branch(name) for name in ("a", "b")]
        for branch in branches:
            branch.model = "builtin:tiny"
        await asyncio.gather(*(branch.run("Say hello") for branch in branches))
        assert len(set(descendants(os.getpid())) - before) == 1


def meta(repo, session):
    from mlxk.agent.settings import from_meta
    from mlxk.history.record import find
    from mlxk.history.store import Store
    from mlxk.system import paths

    with Store.open(repo, paths.home()) as store:
        return from_meta(find(store, session).meta())


async def test_a_helper_of_the_configuration_is_what_it_says(repo, tmp_path):
    (tmp_path / "reviewer.yaml").write_text(REVIEWER.replace("mode: read", "mode: workspace"))
    delegate = call("Agent", '{"prompt": "look", "helper": "scout"}')
    model = Scripted(delegate, "Seen.", "Done.")
    await Agent(model=model, folder=repo, config=tmp_path / "reviewer.yaml").run("delegate")
    child = model.requests[1]
    assert (child.messages[0].text, [t.name for t in child.tools]) == ("You scout.", ["Read"])
    assert "scout: looks around" in str(model.requests[0].tools[-1].parameters)
