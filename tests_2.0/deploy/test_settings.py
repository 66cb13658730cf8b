"""Settings: eight keys, types, defaults, and a file that only its owner reads."""

import shutil
import subprocess
import sys

import orjson
import pytest
from stack_home import StackHome

from mlxk.contract.errors import CorruptState, InvalidValue
from mlxk.deploy import document, settings, weigh
from mlxk.deploy.settings import Settings
from mlxk.deploy.store import Store
from mlxk.hub import names


def test_there_are_eight_keys_and_an_alias():
    assert len(settings.KEYS) == 8
    assert settings.key_of("litellm-port").name == "gateway-port"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("memory-budget-pct", "60", 60),
        ("litellm-port", "4100", 4100),
        ("default-quant", "int8", "int8"),
        ("auto-health-check", "off", False),
        ("openrouter-key", "OPENROUTER_API_KEY", "OPENROUTER_API_KEY"),
    ],
)
def test_values_are_read_by_their_kind(home, key, text, value):
    settings.save(home, settings.changed(Settings({}), key, text))
    assert settings.load(home).get(key) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("memory-budget-pct", "0"),
        ("memory-budget-pct", "101"),
        ("gateway-port", "70000"),
        ("gateway-port", "²"),
        ("default-quant", "int5"),
        ("auto-health-check", "maybe"),
        ("openrouter-key", "sk-or-v1-abc"),
        ("colour", "red"),
    ],
)
def test_what_a_key_does_not_take_is_refused(key, text):
    with pytest.raises(InvalidValue):
        settings.changed(Settings({}), key, text)


def test_a_reset_keeps_the_active_stack(home):
    changed = settings.changed(settings.with_stack(Settings({}), "mine"), "gateway-port", "1")
    assert settings.without(changed, None).values == {"stack": "mine"}


def test_the_file_is_private_and_a_broken_one_is_said_to_be(home):
    settings.save(home, Settings({"gateway-port": 1}))
    assert (home / "config.json").stat().st_mode & 0o777 == 0o600
    (home / "config.json").write_text("{")
    with pytest.raises(CorruptState) as caught:
        settings.load(home)
    assert caught.value.hint == "mlxk config reset"


def test_a_model_dir_comes_before_the_cache(home, tmp_path):
    """By the model's name, or by a path inside it."""
    store = Store(home / ".mlxk")
    shelf = tmp_path / "models"
    shutil.copytree(names.resolve("builtin:tiny").folder, shelf / "org" / "name")
    named = document.parse({"name": "a", "model": "org/name"})
    inside = document.parse({"name": "b", "model_path": "org/name"})
    assert weigh.find(named, store.home) is None
    settings.save(store.home, Settings({"model-dir": str(shelf)}))
    for deployment in (named, inside):
        assert weigh.reference(deployment, store.home) == str(shelf / "org" / "name")
        assert weigh.find(deployment, store.home).folder == shelf / "org" / "name"
    assert weigh.reference(document.parse({"name": "c", "model": "org/other"}), store.home) == (
        "org/other"
    )


@pytest.mark.parametrize(
    ("setting", "flags", "phase"),
    [("on", [], "ready"), ("off", [], "starting"), ("off", ["--wait"], "ready")],
)
def test_up_waits_as_the_setting_says_unless_it_is_told(home, setting, flags, phase):
    stack = StackHome(home / ".mlxk")
    try:
        stack.add("a", "good")
        settings.save(stack.home, settings.changed(Settings({}), "auto-health-check", setting))
        argv = [sys.executable, "-m", "mlxk", "up", "a", "--json", *flags]
        done = subprocess.run(argv, capture_output=True, check=True)
        assert orjson.loads(done.stdout)["data"]["results"][0]["phase"] == phase
    finally:
        stack.close()
