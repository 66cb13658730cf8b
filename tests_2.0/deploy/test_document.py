"""Deployment documents: what is accepted, what is refused and where, what is warned of."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.contract.errors import InvalidDocument, InvalidValue, NotFound
from mlxk.contract.notes import collecting
from mlxk.deploy import checking, document, drafting, engines, export, stack
from mlxk.deploy.store import Store

OLD = {
    "name": "deployment-name",
    "display_name": "Human Readable Name",
    "model_path": "./local-models/model-name",
    "parameters": {"temp": 0.6, "top_p": 0.95, "top_k": 20, "max_tokens": 100000},
    "kv_cache": {"bits": 6, "group_size": 64, "quantized_start": 0},
    "server": {
        "host": "0.0.0.0",
        "port": 8000,
        "model_id": "mlx-local",
        "trust_remote_code": True,
        "prompt_cache_size": 1,
    },
}
TINY = {"name": "tiny", "model": "builtin:tiny"}


@pytest.fixture
def store(home):
    return Store(home / ".mlxk")


def test_the_flat_config_of_old_loads_unchanged_with_a_warning():
    deployment = document.parse(OLD, name="deployment-name")
    assert deployment.server.port == 8000
    assert deployment.server.host == "0.0.0.0"
    assert deployment.kv_cache == document.KvCache(6, 64, 0)
    assert "insecure_bind" in {w.code for w in engines.warnings(deployment)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("memory_gb", 1e308),
        ("context", 1 << 60),
        ("model_path", "./b\udcff"),
        ("display_name", "\ud800"),
    ],
)
def test_what_json_readers_do_not_agree_about_is_refused(field, value):
    rest = {k: v for k, v in TINY.items() if k != "model" or field != "model_path"}
    with pytest.raises(InvalidDocument) as caught:
        document.parse({**rest, field: value})
    assert [p["pointer"] for p in caught.value.details["problems"]] == [f"/{field}"]


def test_defaults():
    tiny = document.parse(TINY)
    assert (tiny.server.host, tiny.server.port) == ("127.0.0.1", None)
    assert (tiny.autostart, tiny.keep_alive_s, tiny.engine.name) == ("always", None, "mlxk")
    assert tiny.restart == document.Restart("on-failure", 5, 600, 10, 300, 300)
    assert tiny.probe == document.Probe("/health", None, 120, 3)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"colour": 1}, ""),
        ({"model_path": "./x"}, ""),
        ({"name": "gateway"}, "/name"),
        ({"name": "../x"}, "/name"),
        ({"schema_version": 2}, "/schema_version"),
        ({"parameters": {"temp": 2.1}}, "/parameters/temp"),
        ({"parameters": {"max_tokens": 0}}, "/parameters/max_tokens"),
        ({"kv_cache": {"bits": 7}}, "/kv_cache/bits"),
        ({"kv_cache": {"group_size": 48}}, "/kv_cache/group_size"),
        ({"engine": "vllm-mlx", "kv_cache": {"bits": 6}}, "/kv_cache/bits"),
        ({"engine": {"command": []}}, "/engine/command"),
        ({"server": {"port": 0}}, "/server/port"),
        ({"keep_alive": "soon"}, "/keep_alive"),
        ({"restart": {"base_s": 400}}, "/restart/base_s"),
        ({"probe": {"ready": "health"}}, "/probe/ready"),
        ({"auth": {"api_key": "secret"}}, "/auth"),
        ({"autostart": "yes"}, "/autostart"),
    ],
    ids=str,
)
def test_a_problem_has_a_pointer(change, pointer):
    found = document.problems({**TINY, **change})
    assert pointer in {p.pointer for p in found}


@pytest.mark.parametrize("value", [None, [], "x", 7, {}, {"name": "a"}], ids=str)
def test_what_is_no_document_is_refused(value):
    with pytest.raises(InvalidDocument):
        document.parse(value)


def test_a_document_is_called_like_its_file():
    assert document.problems(TINY, name="other")[0].pointer == "/name"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(-1, None), ("-1", None), ("-1m", None), (0, 0), ("5m", 300), ("1h30m", 5400), ("90", 90)],
    ids=str,
)
def test_keep_alive_is_read_by_ollamas_grammar(text, seconds):
    assert document.parse({**TINY, "keep_alive": text}).keep_alive_s == seconds


def test_only_what_a_process_sees_changes_the_digest():
    first = document.parse(TINY).digest
    assert document.parse({**TINY, "display_name": "x", "autostart": "manual"}).digest == first
    assert document.parse({**TINY, "server": {"port": 8001}}).digest != first


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"parameters": {"temp": 0.5}}, "unsupported_parameter", "/parameters/temp"),
        ({"server": {"colour": 1}}, "unknown_server_key", "/server/colour"),
        ({"server": {"prompt_cache_size": 1}}, "unsupported_server_key", None),
        ({"server": {"host": "0.0.0.0"}}, "insecure_bind", "/server/host"),
        ({"engine": "mlx-lm", "kv_cache": {"bits": 8}}, "unsupported_kv_cache", "/kv_cache"),
        (
            {"engine": "mlx-lm", "server": {"draft": "lookup"}},
            "unsupported_server_key",
            "/server/draft",
        ),
    ],
    ids=lambda v: str(v)[:30],
)
def test_what_has_no_effect_is_warned_of(change, code, pointer):
    found = engines.warnings(document.parse({**TINY, **change}))
    assert code in {w.code for w in found}
    assert pointer is None or pointer in {w.pointer for w in found}


def test_a_host_with_a_key_is_not_insecure():
    safe = {**TINY, "server": {"host": "0.0.0.0"}, "auth": {"api_key_env": "KEY"}}
    assert engines.warnings(document.parse(safe)) == ()


def test_no_secret_and_no_model_is_in_our_own_command_line():
    one = document.parse({**TINY, "auth": {"api_key_env": "KEY"}})
    launch = engines.launch(one, "builtin:tiny", 8123, "python")
    assert launch.argv == ("python", "-m", "mlxk", "serve", "--deployment", "tiny")
    assert launch.keys == ("KEY",)
    assert 'KEY="$KEY"' in export.command_line(launch)


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("mlx-lm", "-m mlx_lm server --model M --host 127.0.0.1 --port 8123 --temp 0.5"),
        ("mlx-vlm", "-m mlx_vlm.server --model M --host 127.0.0.1 --port 8123"),
        ("vllm-mlx", "vllm-mlx serve M --host 127.0.0.1 --port 8123"),
        ({"command": ["srv", "${MODEL}", "-p", "${PORT}", "$x"]}, "srv M -p 8123 $x"),
    ],
    ids=str,
)
def test_other_engines_get_their_own_command_lines(engine, expected):
    one = document.parse({**TINY, "engine": engine, "parameters": {"temp": 0.5}})
    assert " ".join(engines.launch(one, "M", 8123, "python").argv).endswith(expected)


def test_a_store_writes_only_what_is_valid(store):
    with pytest.raises(InvalidDocument):
        store.save({"name": "x"})
    assert not store.home.exists()
    path = store.save(TINY)
    assert orjson.loads(path.read_bytes()) == TINY
    assert store.names() == ("tiny",)


def test_reading_an_empty_home_creates_nothing(store):
    assert store.names() == store.stacks() == ()
    assert store.active() is None
    with pytest.raises(NotFound):
        store.load("tiny")
    assert not store.home.exists()


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "a" * 65, "a b", "x\n"])
def test_a_name_cannot_leave_the_folder(store, name):
    with pytest.raises(InvalidValue):
        store.path(name)


def test_a_removed_deployment_leaves_its_stacks(store):
    store.save(TINY)
    value = {"name": "s", "deployments": ["tiny"], "routes": {"standard": "tiny"}}
    store.save_stack(value)
    store.remove("tiny")
    store.without("tiny")
    assert store.stack("s") == stack.parse({"name": "s", "deployments": [], "routes": {}}, "s")


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("server.port=8001", "server.port", 8001),
        ("parameters.temp=0.7", "parameters.temp", 0.7),
        ("keep_alive=5m", "keep_alive", "5m"),
        ("keep_alive=", "keep_alive", None),
        ('engine={"command":["x"]}', "engine", {"command": ["x"]}),
    ],
)
def test_assignments(text, key, value):
    assert drafting.assignment(text) == (key, value)


@pytest.mark.parametrize("text", ["port", "=1", "a..b=1", "a b=1"])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(InvalidValue):
        drafting.assignment(text)


@given(st.dictionaries(st.sampled_from(["server.port", "context", "autostart"]), st.integers()))
def test_taking_away_undoes_putting(changes):
    value = dict(TINY)
    for key, number in changes.items():
        drafting.put(value, key, number)
    for key in changes:
        drafting.put(value, key, None)
    assert {k: v for k, v in value.items() if v != {}} == TINY


def test_an_imported_model_path_is_taken_from_its_file(tmp_path):
    (tmp_path / "c.json").write_bytes(orjson.dumps(OLD))
    value = drafting.imported(tmp_path / "c.json", None)
    assert value["model_path"] == str(tmp_path / "local-models" / "model-name")


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{"), ("a.yaml", "a: [1"), ("a.yml", "- 1"), ("b.json", "[]")]
)
def test_a_file_that_holds_no_document_is_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidDocument):
        drafting.imported(tmp_path / name, None)


def test_a_verdict_weighs_the_model(store):
    with collecting() as notes:
        verdict = checking.judge(store, TINY, "tiny", 1.0)
    assert verdict.valid
    assert verdict.estimate.fits
    assert 0 < verdict.estimate.total_gb < 0.5
    assert notes == []


def test_a_draft_model_weighs_something(store):
    def total_gb(draft):
        value = TINY | {"server": {"draft": draft}}
        return checking.judge(store, value, "tiny", 1.0).estimate.total_gb

    assert total_gb("builtin:tiny") > total_gb("lookup") == total_gb("no/such")


def test_a_missing_model_is_a_warning(store):
    with collecting() as notes:
        verdict = checking.judge(store, {"name": "a", "model": "no/such"}, None, None)
    assert verdict.valid
    assert verdict.estimate is None
    assert [note.code for note in notes] == ["model_missing"]


def test_groups_must_divide_the_head_dimension(store, hub_cache):
    hub_cache.add("org/eights")  # head_dim is 8
    value = {"name": "a", "model": "org/eights", "kv_cache": {"bits": 4, "group_size": 32}}
    verdict = checking.judge(store, value, "a", None)
    assert [p.pointer for p in verdict.problems] == ["/kv_cache/group_size"]


def test_litellm_is_told_an_address_of_ip_6_as_a_url():
    one = document.parse({**TINY, "server": {"host": "::1", "port": 8001}})
    (row,) = export.litellm((one,), None)["model_list"]
    assert row["litellm_params"]["api_base"] == "http://[::1]:8001/v1"


def test_litellm_gets_routes_and_fallbacks():
    one = document.parse({**TINY, "server": {"port": 8001, "model_id": "m"}})
    two = document.parse({"name": "two", "model": "a/b", "auth": {"api_key_env": "K"}})
    both = stack.parse(
        {
            "name": "s",
            "deployments": ["tiny", "two"],
            "routes": {"standard": "tiny", "fast": "two"},
            "fallbacks": ["standard", "fast"],
        },
        "s",
    )
    value = export.litellm((one, two), both)
    assert [m["model_name"] for m in value["model_list"]] == ["standard", "fast"]
    assert value["model_list"][0]["litellm_params"]["api_base"] == "http://127.0.0.1:8001/v1"
    assert value["model_list"][1]["litellm_params"]["api_key"] == "os.environ/K"
    assert value["router_settings"]["fallbacks"] == [{"standard": ["fast"]}]
