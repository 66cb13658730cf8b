"""Units and property lists are right, hold no secret, and are written only when of use."""

import os
import plistlib
import shutil
import subprocess
from pathlib import Path

import pytest

from mlxk.contract.errors import AlreadyExists, InvalidValue, NotFound, ServiceManagerUnavailable
from mlxk.contract.notes import collecting
from mlxk.deploy import installing, record, settings
from mlxk.deploy.launchd import Launchd
from mlxk.deploy.services import SUPERVISOR, Job, Ran
from mlxk.deploy.store import Store
from mlxk.deploy.systemd import Systemd, quoted

ODD = "/home/a user/50% $HOME/python"


class Manager:
    """Answers like systemctl or launchctl; what contains a word of `failing` fails."""

    def __init__(self, *failing):
        self.failing = failing
        self.asked = []

    def __call__(self, argv):
        self.asked.append(argv)
        bad = any(word in argv for word in self.failing)
        return Ran(1, "Failed to connect to bus") if bad else Ran(0, "yes")


@pytest.fixture
def store(home):
    made = Store(home / ".mlxk")
    made.save({"name": "tiny", "model": "builtin:tiny", "server": {"port": 8010}})
    return made


def job(name="tiny", python="/usr/bin/python3"):
    argv = (python, "-m", "mlxk", "serve", "--deployment", name)
    return Job(name, argv, (("MLXK_HOME", "/home/you/.mlxk"),), Path("/home/you/x.log"))


def systemd(tmp_path, *failing, version=252):
    return Systemd(tmp_path / "config", Manager(*failing), version)


def install(store, own, *names, now=True, force=False):
    wanted = installing.jobs(store, names, {}, "python3")
    return installing.install(store, own, wanted, now=now, force=force)


@pytest.mark.parametrize("name", ["tiny", SUPERVISOR])
@pytest.mark.parametrize("python", ["/usr/bin/python3", ODD], ids=["plain", "odd"])
def test_systemd_accepts_the_unit(tmp_path, name, python):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    program = tmp_path / python.lstrip("/")
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / f"mlxk-{name}.service"
    unit.write_text(systemd(tmp_path).render(job(name, str(program))))
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    argv = ["systemd-analyze", "verify", "--user", "--man=no", str(unit)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    mine = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, mine) == (0, []), done.stderr


def test_gradual_restarts_are_asked_for_where_systemd_knows_them(tmp_path):
    old, new = (systemd(tmp_path, version=v).render(job()) for v in (253, 254))
    assert "RestartSteps" not in old
    assert "RestartMaxDelaySec" not in old
    assert "RestartSteps=5\nRestartMaxDelaySec=300\n" in new


def test_the_restart_limit_can_be_reached(tmp_path):
    fields = dict(
        line.split("=", 1)
        for line in systemd(tmp_path).render(job()).splitlines()
        if line.count("=") == 1
    )
    pauses = int(fields["RestartSec"]) * int(fields["StartLimitBurst"])
    assert pauses < int(fields["StartLimitIntervalSec"])


@pytest.mark.parametrize(
    ("word", "text"),
    [("a", "a"), ("a b", '"a b"'), ("50%", "50%%"), ("a\\b", "a\\\\b"), ('"', '"\\""'), ("", '""')],
)
def test_words_are_quoted_for_systemd(word, text):
    assert quoted(word) == text


def test_launchd_gets_a_property_list(tmp_path):
    own = Launchd(tmp_path, Manager())
    value = plistlib.loads(own.render(job(python=ODD)).encode())
    assert value["Label"] == "com.local.mlx-tiny"
    assert value["ProgramArguments"][0] == ODD
    assert value["KeepAlive"] == {"Crashed": True, "SuccessfulExit": False}
    assert own.path("tiny").name == "com.local.mlx-tiny.plist"


def test_over_ssh_the_users_own_domain_stands_in(tmp_path):
    manager = Manager(f"gui/{os.getuid()}")
    Launchd(tmp_path, manager).start("tiny")
    assert manager.asked[-1][-1] == f"user/{os.getuid()}/com.local.mlx-tiny"


def test_no_secret_and_no_model_flag_is_in_a_unit(store, tmp_path, monkeypatch):
    store.save(
        {"name": "a", "model": "org/model", "server": {"port": 1}, "auth": {"api_key_env": "K"}}
    )
    env = {"K": "top-secret", "HF_TOKEN": "hf_x", "HF_HOME": "/models", "HOME": "/home/you"}
    with collecting() as notes:
        wanted = installing.jobs(store, ("a",), env, "python3")
    for own in (systemd(tmp_path), Launchd(tmp_path, Manager())):
        text = installing.preview(own, wanted).units[0].content
        assert "top-secret" not in text
        assert "hf_x" not in text
        assert "org/model" not in text
        assert "/models" in text
    assert [note.code for note in notes] == ["key_by_reference"]


@pytest.mark.parametrize("failing", ["show-environment", "daemon-reload", "enable"])
def test_nothing_stays_written_when_the_manager_fails(store, tmp_path, failing):
    own = systemd(tmp_path, failing)
    with pytest.raises(ServiceManagerUnavailable):
        install(store, own, "tiny")
    assert not own.path("tiny").exists()
    assert record.read(store.home, "tiny") is None


def test_launchd_out_of_reach_writes_nothing(store, tmp_path):
    own = Launchd(tmp_path, Manager("print"))
    with pytest.raises(ServiceManagerUnavailable):
        install(store, own, "tiny")
    assert not own.path("tiny").parent.exists()


def test_install_hands_over_and_uninstall_takes_back(store, tmp_path):
    own = systemd(tmp_path)
    done = install(store, own, "tiny")
    assert [(u.installed, u.loaded) for u in done.units] == [(True, True)]
    known = record.read(store.home, "tiny")
    assert (known.owner, known.desired) == ("systemd", "running")
    assert ["systemctl", "--user", "enable", "--now", "mlxk-tiny.service"] in own.run.asked
    with pytest.raises(AlreadyExists):
        install(store, own, "tiny")
    installing.uninstall(store, own, ("tiny",))
    assert not own.path("tiny").exists()
    assert record.read(store.home, "tiny") is None
    with pytest.raises(NotFound):
        installing.uninstall(store, own, ("tiny",))


def test_without_now_nothing_is_started(store, tmp_path):
    own = systemd(tmp_path)
    install(store, own, "tiny", now=False)
    assert not any("--now" in argv for argv in own.run.asked)


def test_the_supervisor_is_no_deployment(store, tmp_path):
    own = systemd(tmp_path)
    done = install(store, own, SUPERVISOR)
    assert "-m mlxk watch\n" in done.units[0].content
    assert "KillMode=process" in done.units[0].content
    assert record.names(store.home) == ()


def test_the_supervisor_says_which_keys_it_must_be_given(store):
    store.save({"name": "a", "model": "m/m", "auth": {"api_key_env": "A_KEY"}})
    stack = {"name": "mine", "deployments": ["a"], "gateway": {"api_key_env": "FRONT_KEY"}}
    store.save_stack(stack | {"cloud": {"enabled": True}})
    settings.save(store.home, settings.Settings({"stack": "mine"}))
    with collecting() as notes:
        installing.jobs(store, (SUPERVISOR,), {"A_KEY": "secret"}, "python3")
    assert [note.message for note in notes] == [
        "no secret is written: give A_KEY, FRONT_KEY, OPENROUTER_API_KEY to the service manager"
    ]


def test_only_our_own_engine_is_a_service_of_its_own(store):
    store.save({"name": "x", "model": "m", "engine": {"command": ["srv"]}})
    with pytest.raises(InvalidValue):
        installing.jobs(store, ("x",), {}, "python3")
