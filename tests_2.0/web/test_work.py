"""What a page does: sessions, prompts, forks, checks, landing, and the news of it."""

import asyncio
import json

import checkout
import pytest
from web_room import opened

from mlxk.chat.scripted import Scripted, call

WRITE = call("Write", '{"path": "n.txt", "content": "hi\\n"}')


@pytest.fixture
def room_of(home, tmp_path):
    repo = checkout.make(tmp_path / "repo")

    def make(*turns, delay_s=0.0, **options):
        model = Scripted(*turns, delay_s=delay_s)
        return opened(repo, home / ".mlxk", model, **options)

    return make


async def worked(room, prompt="write it"):
    return await room.finished((await room.post("new", {"prompt": prompt}))["tab"])


async def heard(socket, wanted, within=10):
    """Messages until one satisfies `wanted`."""
    found = []
    async with asyncio.timeout(within):
        async for message in socket:
            found.append(json.loads(message.data))
            if wanted(found[-1]):
                return found
    raise AssertionError("the socket was closed")


def types(messages):
    return [each["type"] for message in messages for each in message.get("news", ())]


def says(state):
    return lambda m: m["kind"] == "status" and m["status"]["state"] == state


async def test_a_prompt_becomes_a_session_with_messages_and_steps(room_of):
    async with room_of(WRITE, "Done.") as room:
        await room.enter()
        session = await worked(room)
        (listed,) = (await room.get("sessions"))["sessions"]
        told = await room.get(f"sessions/{session}")
    assert (listed["id"], listed["name"], listed["state"]) == (session, "write-it", "idle")
    assert [dot["changed"] for dot in listed["past"]["steps"]] == [False, False, False, True, False]
    assert [(m["role"], m["step"]) for m in told["messages"]] == [
        ("user", 1),
        ("assistant", 2),
        ("tool", 3),
        ("assistant", 4),
    ]
    assert [f["path"] for f in told["steps"][3]["files"]] == ["n.txt"]


async def test_the_news_stream_and_begin_again_after_a_reconnection(room_of):
    async with room_of(WRITE, "Done.") as room:
        await room.enter()
        async with room.news() as socket:
            first = asyncio.create_task(heard(socket, lambda m: "run.finished" in types([m])))
            await worked(room)
            live = types(await first)
        async with room.news() as socket:
            again = types(await heard(socket, lambda m: "run.finished" in types([m])))
    assert live == again
    assert live[:2] == ["prompt", "state"]
    assert "text.delta" in live


async def test_another_process_that_writes_is_told_to_every_page(room_of, home, tmp_path):
    from mlxk.agent import Agent

    async with room_of("Hm.") as room:
        await room.enter()
        async with room.news() as socket:
            await heard(socket, lambda m: m["kind"] == "figures")
            await asyncio.sleep(0.2)
            other = Scripted("Hello.")
            await Agent(model=other, folder=tmp_path / "repo").run("say hello")
            await heard(socket, lambda m: m["kind"] == "sessions")
        (listed,) = (await room.get("sessions"))["sessions"]
    assert listed["name"] == "say-hello"


async def test_a_fork_at_a_step_goes_on_from_there(room_of):
    async with room_of(WRITE, "Done.", "Again.") as room:
        await room.enter()
        session = await worked(room)
        made = await room.post(f"sessions/{session}/fork", {"step": 1, "name": "other"})
        told = await room.get(f"sessions/{made['session']}")
        listed = (await room.get("sessions"))["sessions"]
    assert [m["text"] for m in told["messages"]] == ["write it"]
    (fork,) = [each for each in listed if each["name"] == "other"]
    assert (fork["parent"], fork["fork_step"]) == (session, 1)


async def test_several_futures_work_at_once_from_one_step(room_of):
    async with room_of("Hm.", WRITE, "Done.") as room:
        await room.enter()
        session = await worked(room)
        order = {"prompt": "write it", "count": 3}
        made = (await room.post(f"sessions/{session}/futures", order))["sessions"]
        seeds = [tab.settings.seed for tab in room.desk.tabs if tab.session in made]
        for tab in room.desk.tabs:
            await tab.wait()
        listed = {each["id"]: each for each in (await room.get("sessions"))["sessions"]}
        await room.post(f"sessions/{session}/futures", order | {"count": 1}, status=400)
    assert sorted(seeds) == [0, 1, 2]
    assert [(listed[id]["parent"], listed[id]["fork_step"]) for id in made] == [(session, 2)] * 3


async def test_undo_is_a_step_that_takes_files_and_words_back(room_of):
    async with room_of(WRITE, "Done.") as room:
        await room.enter()
        session = await worked(room)
        done = await room.post(f"sessions/{session}/undo")
        told = await room.get(f"sessions/{session}")
        changes = await room.get(f"sessions/{session}/changes")
    assert done["subject"] == "undo to step 0"
    assert (told["messages"], changes["files"]) == ([], [])


async def test_changes_since_the_start_of_a_step_and_against_another(room_of):
    async with room_of(WRITE, "Done.", "Hello.") as room:
        await room.enter()
        first = await worked(room)
        second = await worked(room, "say hello")
        whole = await room.get(f"sessions/{first}/changes")
        quiet = await room.get(f"sessions/{first}/changes?step=1")
        against = await room.get(f"sessions/{second}/changes?against={first}")
    assert whole["files"][0]["hunks"] == [[["added", None, "", 1, "hi"]]]
    assert quiet["files"] == []
    assert against["files"][0]["status"] == "deleted"


async def test_work_lands_on_the_users_branch(room_of, tmp_path):
    async with room_of(WRITE, "Done.") as room:
        await room.enter()
        session = await worked(room)
        landed = await room.post(f"sessions/{session}/land")
        (listed,) = (await room.get("sessions"))["sessions"]
    assert (landed["branch"], landed["files"]) == ("main", 1)
    assert listed["landed"]
    assert checkout.git(tmp_path / "repo", "show", "main:n.txt") == "hi"


async def test_what_has_not_landed_needs_force_to_go_and_comes_back(room_of):
    async with room_of(WRITE, "Done.") as room:
        await room.enter()
        session = await worked(room)
        refused = await room.post(f"sessions/{session}/remove", status=409)
        await room.post(f"sessions/{session}/remove", {"force": True})
        gone = await room.get("sessions")
        assert (await room.post("trash/prune", {"days": 30}))["pruned"] == 0
        await room.post(f"trash/{session}/restore")
        back = await room.get("sessions")
    assert refused["error"]["type"] == "unmerged_branch"
    assert ([t["id"] for t in gone["trash"]], gone["sessions"]) == ([session], [])
    assert [each["id"] for each in back["sessions"]] == [session]


async def test_a_check_that_fails_goes_back_to_the_model(room_of):
    turns = ("Hm.", WRITE, "Done.")
    async with room_of(*turns, permissions="all") as room:
        await room.enter()
        session = await worked(room)
        tab = (await room.post(f"sessions/{session}/check", {"command": "test -f n.txt"}))["tab"]
        await room.finished(tab)
        passed = [n.data.passed for n in room.desk.tab(tab).feed.backlog() if "check" in n.type]
    assert passed == [False, True]


@pytest.mark.parametrize(("allow", "files"), [(True, 1), (False, 0)])
async def test_a_question_waits_for_the_page(room_of, allow, files):
    async with room_of(WRITE, "Done.", permissions="ask") as room:
        await room.enter()
        tab = (await room.post("new", {"prompt": "write it"}))["tab"]
        async with room.news() as socket:
            told = await heard(socket, says("asking"))
            asked = told[-1]["status"]["questions"][0]
            assert (asked["name"], asked["about"]) == ("Write", "n.txt")
            await room.post(f"sessions/tab-{tab}/answer", {"id": asked["id"], "allow": allow})
        session = await room.finished(tab)
        changes = await room.get(f"sessions/{session}/changes")
    assert len(changes["files"]) == files


async def test_stopping_keeps_the_work_and_gives_waiting_prompts_back(room_of):
    async with room_of(WRITE, "word " * 200, delay_s=0.05) as room:
        await room.enter()
        tab = (await room.post("new", {"prompt": "write it"}))["tab"]
        await room.post(f"sessions/tab-{tab}/prompt", {"prompt": "and more"})
        async with room.news() as socket:
            await heard(socket, lambda m: "step.committed" in types([m]))
        stopped = await room.post(f"sessions/tab-{tab}/abort")
        (listed,) = (await room.get("sessions"))["sessions"]
    assert stopped["waiting"] == ["and more"]
    assert listed["past"]["files"] == 1


async def test_a_long_output_is_cut_and_there_for_who_asks(room_of):
    text = "0123456789\n" * 100_000
    write = call("Write", json.dumps({"path": "long.txt", "content": text}))
    read = call("Bash", '{"command": "cat long.txt"}', "call_2")
    async with room_of(write, read, "Done.", permissions="all") as room:
        room.desk.bounds = room.desk.bounds.__class__(
            limits=room.desk.bounds.limits.__class__(output_bytes=2_000_000)
        )
        await room.enter()
        session = await worked(room)
        told = await room.get(f"sessions/{session}")
        (said,) = [r for m in told["messages"] for r in m["results"] if r["id"] == "call_2"]
        path = f"/api/sessions/{session}/output?step=5&call=call_2"
        async with room.http.get(path, headers=room.key) as response:
            assert response.content_type == "text/plain"
            whole = await response.text()
        listened = [each for each in told["messages"] if each["calls"]]
    assert (len(said["text"]), said["size"]) == (64_000, len(whole))
    assert whole.startswith(text[:1000])
    assert len(listened) == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("sessions/nope/prompt", {"prompt": "x"}, 404, "session_not_found"),
        ("sessions/tab-9/abort", {}, 404, "not_found"),
        ("sessions/nope/fork", {"step": 1}, 404, "session_not_found"),
        ("new", {"prompt": "x", "permissions": "god"}, 400, "invalid_value"),
    ],
)
async def test_what_cannot_be_is_an_error_with_its_type(room_of, path, body, status, error):
    async with room_of("Hm.") as room:
        await room.enter()
        refused = await room.post(path, body, status=status)
    assert refused["error"]["type"] == error


async def test_models_of_this_machine_are_offered(room_of):
    async with room_of("Hm.") as room:
        await room.enter()
        assert "builtin:tiny" in (await room.get("models"))["models"]


async def test_nothing_is_told_again_that_did_not_change(room_of):
    async with room_of("Hm.") as room:
        await room.enter()
        await worked(room)
        async with room.news() as socket:
            await heard(socket, lambda m: m["kind"] == "figures")
            with pytest.raises(TimeoutError):
                await heard(socket, lambda m: m["kind"] in ("status", "figures"), within=0.6)


async def test_a_session_that_rests_is_let_go(room_of, monkeypatch):
    monkeypatch.setattr("mlxk.web.room._REST_S", 0.2)
    async with room_of("Hm.") as room:
        await room.enter()
        session = await worked(room)
        async with asyncio.timeout(5):
            while room.desk.tabs:
                await asyncio.sleep(0.02)
        await room.post(f"sessions/{session}/prompt", {"prompt": "go on"})
        assert room.desk.tabs[0].session == session


async def test_a_session_that_another_process_writes_is_shown_but_not_written(
    room_of, home, tmp_path
):
    from mlxk.history.session import Session
    from mlxk.history.store import Store
    from mlxk.system.clock import now

    async with room_of("Hm.") as room:
        await room.enter()
        session = await worked(room)
        await room.post(f"sessions/{session}/close")
        with (
            Store.open(tmp_path / "repo", home / ".mlxk") as store,
            Session.open(store, session, when=now()),
        ):
            (listed,) = (await room.get("sessions"))["sessions"]
            refused = await room.post(f"sessions/{session}/prompt", {"prompt": "x"}, status=409)
    assert listed["state"] == "running"
    assert refused["error"]["type"] == "session_busy"
