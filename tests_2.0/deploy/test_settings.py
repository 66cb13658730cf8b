"""Settings: keys, types, defaults, and a file that only its owner reads."""

import json
import shutil
import subprocess
import sys

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stack_home import StackHome

from mlxk.contract.errors import CorruptState, InvalidValue
from mlxk.deploy import document, settings, weigh
from mlxk.deploy.settings import Settings
from mlxk.deploy.store import Store
from mlxk.hub import names


def test_there_are_eight_keys_the_active_stack_and_an_alias():
    assert len(settings.KEYS) == 9
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


WRITTEN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
NAMES = st.sampled_from([*(key.name for key in settings.KEYS), *settings.ALIASES, "colour"])
FILES = st.dictionaries(NAMES, WRITTEN | st.lists(WRITTEN) | st.dictionaries(st.text(), WRITTEN))


@given(FILES.map(json.dumps) | WRITTEN.map(json.dumps) | st.text())
def test_whatever_stands_in_the_file_is_read_or_said_to_be_wrong(tmp_path_factory, text):
    home = tmp_path_factory.mktemp("home")
    path = home / "config.json"
    path.write_bytes(text.encode(errors="surrogatepass"))
    try:
        found = settings.load(home)
    except CorruptState as e:
        found, complaint = Settings({}), f"{e}, {e.hint}"
    else:
        complaint = ""
    assert not complaint or (str(path) in complaint and "mlxk config reset" in complaint)
    for key in settings.KEYS:
        value = found.get(key.name)
        assert value == key.default or settings.parsed(key, str(value)) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("memory-budget-pct", "60"),
        ("memory-budget-pct", 0),
        ("gateway-port", True),
        ("litellm-port", 4000.0),
        ("model-dir", 7),
        ("model-dir", "a\0b"),
        ("auto-health-check", "yes"),
        ("default-quant", ["int4"]),
        ("openrouter-key", "sk-or-v1-abc"),
        ("stack", "../../etc"),
    ],
)
def test_a_wrong_value_is_named_and_its_key_alone_is_reset(home, key, value):
    stored = {"stack": "mine", "log-max-files": 7, key: value}
    (home / "config.json").write_bytes(orjson.dumps(stored))
    with pytest.raises(CorruptState) as caught:
        settings.load(home)
    assert caught.value.details["key"] == settings.key_of(key).name
    assert "sk-or" not in str(caught.value.info())
    settings.save(home, settings.without(settings.read(home), caught.value.details["key"]))
    assert settings.load(home).values == {k: v for k, v in stored.items() if k != key}


def test_a_reset_mends_a_wrong_value_as_the_hint_says(home):
    (home / ".mlxk").mkdir()
    (home / ".mlxk" / "config.json").write_text('{"gateway-port": "4000", "log-max-files": 7}')
    answer, code = mlxk("config", "list")
    assert (code, answer["error"]["hint"]) == (1, "edit it, or mlxk config reset gateway-port")
    assert mlxk("config", "reset", "gateway-port")[1] == 0
    assert settings.load(home / ".mlxk").values == {"log-max-files": 7}


def test_set_mends_a_wrong_value(home):
    (home / ".mlxk").mkdir()
    (home / ".mlxk" / "config.json").write_text('{"gateway-port": "4000"}')
    assert mlxk("config", "set", "gateway-port", "4000")[1] == 0
    assert settings.load(home / ".mlxk").get("gateway-port") == 4000


def test_null_is_the_default_and_a_key_that_is_none_is_told(home):
    (home / ".mlxk").mkdir()
    (home / ".mlxk" / "config.json").write_text('{"gateway-port": null, "colour": "red"}')
    answer, _ = mlxk("config", "get", "gateway-port")
    assert (answer["data"]["value"], answer["data"]["is_default"]) == (4000, True)
    assert [warning["code"] for warning in answer["warnings"]] == ["unknown_setting"]


def test_the_active_stack_is_chosen_among_those_that_are_there(home):
    store = Store(home / ".mlxk")
    for name in ("day", "night"):
        store.save_stack({"name": name, "deployments": []})
    assert mlxk("config", "set", "stack", "night")[1] == 0
    assert store.active().name == "night"
    answer, code = mlxk("config", "set", "stack", "noon")
    assert (code, answer["error"]["type"]) == (1, "not_found")
    assert answer["error"]["hint"] == "mlxk config set stack day|night"
    answer, _ = mlxk("up", "day")
    assert answer["error"]["hint"] == "mlxk config set stack day, then mlxk up"
    assert mlxk("config", "reset", "stack")[1] == 0
    assert store.active() is None


def mlxk(*argv):
    argv = [sys.executable, "-m", "mlxk", *argv, "--json"]
    done = subprocess.run(argv, capture_output=True, check=False)
    assert not done.stderr
    return orjson.loads(done.stdout), done.returncode


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
