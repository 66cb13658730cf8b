"""Real processes: every way in which a server misbehaves has its word, and nothing stays behind."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from processes import gone
from stack_home import StackHome

from mlxk.deploy import apply, local, plan, record, settings
from mlxk.deploy.supervise import Supervisor
from mlxk.system import process
from mlxk.system.network import is_free

MLXK = [sys.executable, "-m", "mlxk"]
QUICK = {"max": 3, "window_s": 600, "base_s": 1, "cap_s": 300, "stable_s": 300}


@pytest.fixture
def stack(home):
    made = StackHome(home / ".mlxk")
    yield made
    made.close()


def settle(supervisor, stack, name, wanted, polls=100):
    """Poll until an event of that type came; all that came."""
    seen = []
    for _ in range(polls):
        events = supervisor.poll()
        seen += [event.type for event in events if event.name == name]
        if wanted in seen:
            return seen
        time.sleep(0.02)
    raise AssertionError((wanted, seen, stack.record(name)))


def test_up_status_down(stack):
    stack.add("a")
    result = stack.up("a")["a"]
    assert (result.outcome, result.state, result.phase) == ("started", "healthy", "ready")
    row = stack.row("a")
    assert (row.state, row.phase, row.desired, row.owner) == (
        "healthy", "ready", "running", "local",
    )  # fmt: skip
    assert (stack.home / "pids" / "a.pid").read_text() == f"{row.pid}\n"
    stopped = stack.down("a")["a"]
    assert (stopped.outcome, stopped.graceful) == ("stopped", True)
    assert gone([row.pid])
    assert not list((stack.home / "pids").iterdir())
    assert not list((stack.home / "run").iterdir())
    assert stack.events() == ["started", "ready", "stopped"]


def test_doing_it_twice_changes_nothing(stack):
    stack.add("a")
    first = stack.up("a")["a"]
    second = stack.up("a")["a"]
    assert (second.outcome, second.pid, second.port) == ("kept", first.pid, first.port)


def test_an_edit_restarts_only_what_was_edited(stack):
    stack.add("a")
    stack.add("b")
    before = stack.up("a", "b")
    stack.add("a", context=1024)
    after = stack.up("a", "b")
    assert (after["a"].outcome, after["b"].outcome) == ("restarted", "kept")
    assert after["a"].pid != before["a"].pid
    assert gone([before["a"].pid])


def test_a_slow_server_is_waited_for(stack):
    stack.add("a", "slow")
    stack.up("a", wait=False)
    assert stack.row("a").state == "down"
    assert stack.up("a")["a"].phase == "ready"


@pytest.mark.parametrize(
    ("mode", "error", "reason"),
    [("exit", "start_failed", "exit:3"), ("never", "start_timeout", "probe_timeout")],
)
def test_a_failed_start_says_why_and_leaves_no_process(stack, mode, error, reason):
    stack.add("a", mode, probe={"timeout_s": 1.2})
    result = stack.up("a")["a"]
    assert (result.outcome, result.error.type) == ("failed", error)
    known = stack.record("a")
    assert known.reason == reason
    assert not known.is_alive()
    assert (stack.row("a").state, stack.row("a").phase) == ("crashed", "failed")


def test_a_server_that_is_not_ready_is_down_and_says_its_phase(stack):
    stack.add("a", "never")
    stack.up("a", wait=False)
    deadline = time.monotonic() + 5
    while stack.row("a").phase != "loading" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (stack.row("a").state, stack.row("a").phase) == ("down", "loading")


def test_one_that_ignores_sigterm_is_killed_after_the_grace(stack):
    stack.add("a", "stubborn")
    pid = stack.up("a")["a"].pid
    assert stack.down("a")["a"].graceful is False
    assert gone([pid])


def test_a_killed_server_is_crashed_and_up_starts_it_again(stack):
    stack.add("a")
    first = stack.up("a")["a"]
    os.kill(first.pid, signal.SIGKILL)
    assert gone([first.pid])
    assert (stack.row("a").state, stack.row("a").reason) == ("crashed", None)
    second = stack.up("a")["a"]
    assert (second.outcome, second.port) == ("started", first.port)


def test_a_reused_pid_is_a_stranger_that_nothing_kills(stack):
    deployment = stack.add("a")
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        mine = process.identity(stranger.pid)
        known = record.Record("a", desired="running", config_digest=deployment.digest)
        record.write(stack.home, replace(known.of(mine), proc_start_time="1"))
        assert stack.row("a").state == "crashed"
        assert stack.row("a").pid is None
        stack.down("a")
        local.sweep(replace(known.of(mine), proc_start_time="1"))
        assert stranger.poll() is None
        stranger.kill()


def test_a_record_of_another_boot_is_dead(stack):
    stack.add("a")
    own = process.identity()
    record.write(stack.home, replace(record.Record("a", desired="running").of(own), boot_id="old"))
    assert stack.row("a").state == "crashed"
    settle(Supervisor(stack.host), stack, "a", "ready")
    assert stack.row("a").state == "healthy"


def test_a_taken_port_is_a_conflict(stack):
    stack.add("a")
    port = stack.up("a")["a"].port
    stack.add("b", server={"port": port})
    assert stack.up("b")["b"].error.type == "port_conflict"
    assert not is_free("127.0.0.1", port)
    assert stack.row("a").state == "healthy"


def test_the_environment_of_a_server_holds_no_secret_but_its_own(stack, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("MY_KEY", "own-secret")
    stack.add("a", auth={"api_key_env": "MY_KEY"})
    pid = stack.up("a")["a"].pid
    environ = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"hf_secret" not in environ
    assert b"own-secret" in environ
    written = b"".join(p.read_bytes() for p in stack.home.rglob("*") if p.is_file())
    assert b"own-secret" not in written


def test_a_supervisor_restarts_what_was_killed(stack):
    stack.add("a", restart=QUICK)
    pid = stack.up("a")["a"].pid
    os.kill(pid, signal.SIGKILL)
    assert gone([pid])
    supervisor = Supervisor(stack.host)
    seen = settle(supervisor, stack, "a", "ready")
    assert seen == ["died", "restarted", "ready"]
    assert stack.record("a").last_exit == "signal:9"
    assert stack.row("a").restarts == 1


def test_a_supervisor_leaves_alone_what_nobody_wants(stack):
    stack.add("a")
    stack.up("a")
    stack.down("a")
    assert Supervisor(stack.host).poll() == []
    assert stack.row("a").state == "stopped"


def test_a_supervisor_leaves_alone_what_the_system_owns(stack):
    stack.add("a")
    record.write(stack.home, record.Record("a", desired="running", owner="systemd"))
    assert Supervisor(stack.host).poll() == []


def test_a_crash_loop_backs_off_is_held_and_is_cleared(stack):
    stack.add("a", "exit", restart=QUICK)
    stack.up("a", wait=False)
    supervisor = Supervisor(stack.host)
    seen = []
    for _ in range(200):
        seen += [event.type for event in supervisor.poll()]
        if "held" in seen:
            break
        stack.ahead += 0.5
        time.sleep(0.02)
    assert seen.count("restarted") == QUICK["max"]
    assert (stack.row("a").state, stack.row("a").phase) == ("crashed", "held")
    stack.ahead += 100_000
    assert Supervisor(stack.host).poll() == []
    assert stack.up("a")["a"].outcome == "failed"
    stack.mode("a", "good")
    assert stack.up("a", clear=True)["a"].phase == "ready"
    assert stack.row("a").restarts == 0


def test_a_hung_server_is_restarted(stack):
    stack.add("a", probe={"liveness_failures": 2}, restart=QUICK)
    stack.up("a")
    stack.mode("a", "hang")
    supervisor = Supervisor(stack.host)
    assert "hung" in settle(supervisor, stack, "a", "hung", polls=8)
    stack.mode("a", "good")
    settle(supervisor, stack, "a", "ready")
    assert stack.record("a").reason == "probe_timeout"


def test_one_on_demand_that_hangs_is_ended_and_waits_to_be_asked_for(stack):
    stack.add("a", probe={"liveness_failures": 2})
    pid = stack.up("a")["a"].pid
    record.write(stack.home, replace(stack.record("a"), desired="on_demand"))
    stack.mode("a", "hang")
    supervisor = Supervisor(stack.host)
    assert "hung" in settle(supervisor, stack, "a", "hung", polls=8)
    assert gone([pid])
    assert supervisor.poll() == []
    assert (stack.row("a").state, stack.row("a").reason) == ("crashed", "probe_timeout")


def test_a_server_that_makes_progress_is_not_restarted(stack):
    stack.add("a", probe={"liveness_failures": 2}, restart=QUICK)
    pid = stack.up("a")["a"].pid
    supervisor = Supervisor(stack.host)
    supervisor.poll()
    stack.mode("a", "busy")
    seen = [event.type for _ in range(6) for event in supervisor.poll()]
    assert "hung" not in seen
    assert stack.record("a").pid == pid


def test_status_of_an_empty_home_creates_nothing(home):
    done = subprocess.run([*MLXK, "status", "--json"], capture_output=True, check=True)
    assert orjson.loads(done.stdout)["data"]["no_stack"] is True
    assert not (home / ".mlxk").exists()


def test_status_changes_no_file(stack):
    stack.add("a")
    stack.up("a")
    before = {p: p.stat().st_mtime_ns for p in stack.home.rglob("*")}
    subprocess.run([*MLXK, "status"], capture_output=True, check=True)
    assert {p: p.stat().st_mtime_ns for p in stack.home.rglob("*")} == before


def test_a_broken_stack_hides_no_process(stack):
    stack.add("a")
    pid = stack.up("a")["a"].pid
    stack.stack("a")
    stack.store.stack_path("mine").write_text("{")
    done = subprocess.run([*MLXK, "status", "--json"], capture_output=True, check=True)
    value = orjson.loads(done.stdout)
    assert value["data"]["services"][0]["state"] == "healthy"
    assert [warning["code"] for warning in value["warnings"]] == ["invalid_stack"]
    subprocess.run([*MLXK, "down", "--all"], capture_output=True, check=True)
    assert gone([pid])


def test_of_two_ups_at_once_one_wins(stack):
    stack.add("a", "slow")
    both = [
        subprocess.Popen([*MLXK, "up", "a", "--json"], stdout=subprocess.PIPE) for _ in range(2)
    ]
    envelopes = [orjson.loads(child.communicate(timeout=30)[0]) for child in both]
    outcomes = sorted(
        e["error"]["type"] if e["error"] else e["data"]["results"][0]["outcome"] for e in envelopes
    )
    assert outcomes in (["locked", "started"], ["kept", "started"])
    assert stack.row("a").state == "healthy"


def test_a_partial_failure_is_exit_one_with_outcomes(stack):
    stack.add("good")
    stack.add("bad", "exit")
    done = subprocess.run([*MLXK, "up", "good", "bad", "--json"], capture_output=True, check=False)
    value = orjson.loads(done.stdout)
    assert (done.returncode, value["error"]["type"]) == (1, "start_failed")
    outcomes = {r["name"]: r["outcome"] for r in value["data"]["results"]}
    assert outcomes == {"good": "started", "bad": "failed"}


@pytest.mark.parametrize(
    ("mode", "code"), [("good", 0), ("never", 3)], ids=["healthy", "never ready"]
)
def test_status_is_a_gate(stack, mode, code):
    stack.add("a", mode)
    stack.up("a", wait=mode == "good")
    done = subprocess.run([*MLXK, "status", "--exit-code"], capture_output=True, check=False)
    assert done.returncode == code
    argv = ["watch", "a", "--until", "ready", "--timeout", "0.2"]
    done = subprocess.run([*MLXK, *argv], capture_output=True, check=False)
    assert done.returncode == code


def test_a_supervisor_of_a_name_that_nobody_knows_ends_at_once(stack):
    done = subprocess.run([*MLXK, "watch", "nobody", "--json"], capture_output=True, check=False)
    assert done.returncode == 1
    assert orjson.loads(done.stdout)["error"]["type"] == "not_found"


def test_what_cannot_be_recorded_is_not_started(stack):
    deployment = stack.add("a")
    (stack.home / "pids/a.pid").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        local.start(stack.host, deployment)
    assert gone(stack.host.children)


def test_a_record_that_cannot_be_read_is_told_once_and_the_others_are_looked_after(stack):
    stack.add("a")
    stack.add("b", restart=QUICK)
    stack.up("a", "b")
    path = stack.home / "run/a.json"
    kept = path.read_bytes()
    path.write_text("{")
    os.kill(stack.record("b").pid, signal.SIGKILL)
    supervisor = Supervisor(stack.host)
    assert [(e.name, e.reason) for e in supervisor.poll() if e.name == "a"] == [
        ("a", "corrupt_state")
    ]
    assert "failed" not in settle(supervisor, stack, "b", "ready")
    assert not [event for event in supervisor.poll() if event.name == "a"]
    path.write_bytes(kept)


def test_a_supervisor_process_ends_in_good_order_and_is_alone(stack):
    stack.add("a")
    pid = stack.up("a")["a"].pid
    argv = [*MLXK, "watch", "--interval", "0.1", "--events"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as watch:
        os.kill(pid, signal.SIGKILL)
        kinds = [orjson.loads(watch.stdout.readline())["type"] for _ in range(3)]
        assert kinds == ["died", "restarted", "ready"]
        second = subprocess.run([*MLXK, "watch", "--json"], capture_output=True, check=False)
        assert orjson.loads(second.stdout)["error"]["type"] == "locked"
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(timeout=10) == 0
    assert stack.row("a").state == "healthy"


class Owner:
    """A service manager that only notes what it was told."""

    def __init__(self):
        self.told = []

    def start(self, name, *, again=False):
        self.told.append(("start", name, again))

    def stop(self, name):
        self.told.append(("stop", name))


def test_up_and_down_ask_the_owner_of_a_service(stack):
    stack.add("a")
    record.write(stack.home, record.Record("a", desired="running", owner="systemd"))
    owner = Owner()
    options = apply.Options(manager=owner)
    wanted = (apply.target(stack.store, "a"),)
    steps = plan.up(wanted, apply.observe(stack.store, ("a",)))
    assert [r.outcome for r in stack.drained(apply.up(stack.host, steps, wanted, options)).values()]
    steps = plan.down(("a",), apply.observe(stack.store, ("a",)))
    stack.drained(apply.down(stack.host, steps, options))
    assert owner.told == [("start", "a", False), ("stop", "a")]
    assert stack.host.children == {}
    assert stack.record("a").owner == "systemd"
    assert stack.row("a").state == "stopped"


def test_a_supervisor_archives_a_log_that_grew(stack):
    settings.save(stack.home, settings.Settings({"log-max-size-mb": 1}))
    stack.add("a")
    stack.up("a")
    path = stack.home / "logs" / "a.log"
    with path.open("ab") as log:
        log.write(b"x" * (1 << 20))
    assert [event.type for event in Supervisor(stack.host).poll()] == ["rotated"]
    assert path.stat().st_size == 0
    assert stack.row("a").state == "healthy"
