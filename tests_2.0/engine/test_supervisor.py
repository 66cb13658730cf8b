"""A request that kills the process, or stops it, is the only one that hears of it."""

import asyncio
import sys
from pathlib import Path

import poisoned_worker
import pytest
from poisoned_worker import HANGS, KILLS

from mlxk.contract.errors import EngineFailed
from mlxk.engine.child import _LOG_BYTES, cause, spawn
from mlxk.engine.options import EngineOptions
from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Job
from mlxk.engine.roster import Roster
from mlxk.engine.supervisor import Supervisor


@pytest.fixture
async def supervisor(home):
    program = (sys.executable, str(Path(poisoned_worker.__file__)))
    options = EngineOptions(hang_s=0.5)
    made = Supervisor(home, home / "log", options, on_cpu=True, program=program)
    await made.start()
    await made.ready()
    yield made
    await made.close()


async def count_down(supervisor, start):
    """What a reader gets, an exception included."""
    await supervisor.ready()
    ticket = supervisor.submit(Job(0, (start,), (), 9999, (), Policy()))
    tokens = []
    try:
        while not (tokens and tokens[-1] == 900):
            tokens += [step.token for step in await ticket.steps()]
    finally:
        ticket.close()
    return tokens


async def together(supervisor, *starts):
    readers = (count_down(supervisor, start) for start in starts)
    return await asyncio.gather(*readers, return_exceptions=True)


def down_from(start):
    return list(range(start, 899, -1))


@pytest.mark.parametrize("later", [0, 10], ids=["at once", "in the middle"])
async def test_a_deadly_request_fails_alone(supervisor, later):
    first, poison, last = await together(supervisor, 912, KILLS + later, 908)
    assert (first, last) == (down_from(912), down_from(908))
    assert isinstance(poison, EngineFailed)
    assert "SIGKILL" in str(poison)
    assert supervisor.restarts <= 4
    assert await count_down(supervisor, 905) == down_from(905)


async def test_a_lone_deadly_request_costs_two_deaths(supervisor):
    (poison,) = await together(supervisor, KILLS)
    assert isinstance(poison, EngineFailed)
    assert supervisor.restarts == 2
    assert await count_down(supervisor, 905) == down_from(905)


async def test_a_step_that_never_ends_is_ended(supervisor):
    first, poison = await together(supervisor, 912, HANGS)
    assert first == down_from(912)
    assert isinstance(poison, EngineFailed)


async def test_a_reader_that_leaves_is_forgotten(supervisor):
    reader = asyncio.ensure_future(count_down(supervisor, 999))
    await asyncio.sleep(0.05)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    assert supervisor.stats.active_sequences + supervisor.stats.queued == 0


async def test_a_program_that_cannot_load_is_given_up_and_tried_again_later(home, monkeypatch):
    program = (sys.executable, "-c", "raise SystemExit(3)")
    options = EngineOptions()
    supervisor = Supervisor(home, home / "log", options, on_cpu=True, program=program)
    await supervisor.start()
    with pytest.raises(EngineFailed, match="exit status 3"):
        await supervisor.ready()
    assert supervisor.phase == "failed"
    supervisor._program = (sys.executable, str(Path(poisoned_worker.__file__)))
    monkeypatch.setattr("mlxk.engine.patience._REVIVAL_S", 0.0)
    assert await count_down(supervisor, 905) == down_from(905)
    await supervisor.close()


def test_one_client_cannot_take_all_places():
    roster = Roster(lambda _ticket: None)

    def enter(client, most=6):
        if has_place := roster.has_place(client, most):
            roster.enter(Job(0, (1,), (), 9, (), Policy(), client=client))
        return has_place

    assert [enter("many") for _ in range(8)] == [True] * 6 + [False] * 2
    assert [enter("few") for _ in range(5)] == [True] * 3 + [False] * 2
    assert [enter("third") for _ in range(3)] == [True, True, False]
    assert not enter("many")


def test_causes_have_names():
    assert (cause(3), cause(-9)) == ("exit status 3", "killed by SIGKILL")


def test_a_long_log_is_emptied_while_another_engine_writes_to_it(tmp_path):
    log = tmp_path / "engine.log"
    log.write_bytes(b"x" * (_LOG_BYTES + 1))
    with log.open("ab", buffering=0) as other:
        told = [sys.executable, "-c", "import sys; print('ours', file=sys.stderr)"]
        assert spawn(told, log, {}).wait() == 0
        other.write(b"theirs\n")
    assert log.read_text() == "ours\ntheirs\n"
