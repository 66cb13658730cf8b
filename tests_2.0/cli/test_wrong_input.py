"""Whatever a command is given: one valid document on stdout, a true exit code, no traceback."""

import http.server
import socket
import socketserver
import threading

import orjson
import pytest
from lines import carried_out

from mlxk.cli import nouns
from mlxk.cli.registry import COMMANDS
from mlxk.contract import errors
from mlxk.contract.validate import problems

LONG = "x" * 5000
# A command line and the error that it ends with; the files are those of `answers` below.
LINES = {
    "agent hi --model no/such --no-git": "model_not_found",
    "agent hi --config bad.json --no-git": "invalid_document",
    "agent hi": "not_a_repository",
    "bench no/such": "model_not_found",
    "bench builtin:tiny --concurrency 0": "usage_error",
    "bench http://127.0.0.1:9 --model m": "provider_error",
    "branch create x": "not_a_repository",
    "branch diff x": "not_a_repository",
    "branch export x": "not_a_repository",
    "branch land x": "not_a_repository",
    "branch list": "not_a_repository",
    "branch log": "not_a_repository",
    "branch prune": "not_a_repository",
    "branch restore x": "not_a_repository",
    "branch rm x": "not_a_repository",
    "branch show x": "not_a_repository",
    "branch undo x": "not_a_repository",
    "branch unland x": "not_a_repository",
    "catalog list --dir nosuch": "invalid_value",
    "catalog show nosuch": "not_found",
    "catalog validate --dir nosuch": "invalid_value",
    "clone no/such out": "hub_unreachable",
    "clone builtin:tiny full": "already_exists",
    "completion csh": "invalid_value",
    "config get nosuch": "invalid_value",
    "config list extra": "usage_error",
    "config reset nosuch": "invalid_value",
    "config set gateway-port many": "invalid_value",
    "convert no/such out": "hub_unreachable",
    "convert builtin:tiny full": "already_exists",
    "deploy add a/b --model x": "invalid_value",
    "deploy add a --model x --context 99999999999999999999999": "invalid_document",
    "deploy import huge.json": "invalid_document",
    "deploy import bad.json": "invalid_document",
    "deploy import list.json": "invalid_document",
    "deploy import bad.yaml": "invalid_document",
    "deploy import loop": "invalid_value",
    "deploy import full": "invalid_value",
    "deploy list extra": "usage_error",
    "deploy render nosuch": "not_found",
    "deploy rm nosuch --force": "not_found",
    "deploy set nosuch a=1": "not_found",
    "deploy show nosuch": "not_found",
    "deploy validate nosuch": "not_found",
    "doctor extra": "usage_error",
    "down nosuch": "not_found",
    "gateway": "not_found",
    "health no/such": "model_not_found",
    "help nosuch": "invalid_value",
    "init --budget 0": "usage_error",
    "init --budget inf": "invalid_value",
    "init --dir nosuch": "invalid_value",
    "install nosuch --dry-run": "not_found",
    "list a b": "usage_error",
    "logs nosuch": "not_found",
    "logs ../x": "invalid_value",
    "logs nosuch --since soon": "invalid_value",
    "profile extra": "usage_error",
    "ps http://127.0.0.1:9": "not_found",
    "pull no/such": "hub_unreachable",
    "pull a@b@c": "model_not_found",
    "push nosuch me/x --private": "not_found",
    f"push {LONG} me/x --private": "invalid_value",
    "push full me/x --private": "model_unhealthy",
    "recommend --budget 0.1": "nothing_fits",
    "recommend --budget nan": "invalid_value",
    "recommend --intent x": "invalid_value",
    "replay nosuch": "not_a_repository",
    "restart nosuch": "not_found",
    "rm no/such --force": "model_not_found",
    "rm no/such": "model_not_found",
    "run no/such hi": "model_not_found",
    "run broken hi": "model_unhealthy",
    "run builtin:tiny hi --schema bad.json": "invalid_document",
    "run builtin:tiny hi --temperature nan": "invalid_value",
    "run / hi": "model_unhealthy",
    "schema nosuch": "not_found",
    "serve no/such": "model_not_found",
    "serve builtin:tiny --port x": "usage_error",
    "show no/such": "model_not_found",
    f"show {LONG}": "model_not_found",
    "status nosuch": "not_found",
    "uninstall nosuch": "not_found",
    "uninstall ../x": "invalid_value",
    f"uninstall {LONG}": "invalid_value",
    "up": "not_found",
    "up nosuch": "not_found",
    "version extra": "usage_error",
    "watch nosuch": "not_found",
    "watch --until ready --timeout nan": "invalid_value",
    "watch --until x": "invalid_value",
    "watch --until ready --timeout 0": "check_failed",
}
WRITING = ("config set gateway-port 1", "deploy add a --model builtin:tiny", "up")
# Where a home can be that is none.
NO_HOMES = {
    "/dev/null": "corrupt_state",
    "/proc/nosuch/x": "not_found",
    f"/{LONG}": "invalid_value",
}
HUBS = {
    "garbage": "hub_unreachable",
    "page": "hub_error",
    "list": "hub_error",
    "null": "hub_error",
    "failing": "hub_error",
    "loop": "hub_unreachable",
    "silent": "hub_unreachable",
}


def codes(kind=errors.MlxkError):
    found = {kind.type: kind.exit_code} if hasattr(kind, "type") else {}
    for below in kind.__subclasses__():
        found |= codes(below)
    return found


@pytest.fixture(scope="module")
def hubs():
    """What may answer at HF_ENDPOINT instead of a hub: a name and its URL."""
    replies = {"page": (200, b"<html>"), "list": (200, b"[]"), "null": (200, b"null")}
    replies |= {"failing": (500, b"{}"), "loop": (302, b"")}
    opened = {
        name: http.server.ThreadingHTTPServer(("", 0), says(*r)) for name, r in replies.items()
    }
    opened["garbage"] = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Garbage)
    for server in opened.values():
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        urls = {name: f"http://127.0.0.1:{s.server_address[1]}" for name, s in opened.items()}
        yield urls | {"silent": f"http://127.0.0.1:{silent.getsockname()[1]}"}
    for server in opened.values():
        server.shutdown()
        server.server_close()


class Garbage(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(4096)
        self.request.sendall(b"\x00\x01 garbage\r\n\r\n")


def says(status, body):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Location", "/again")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    return Handler


@pytest.fixture(scope="module")
def answers(tmp_path_factory, hubs):
    """Each line's exit code, document and stderr; all were carried out at once."""
    root = tmp_path_factory.mktemp("wrong")
    folder = root / "work"
    (folder / "broken").mkdir(parents=True)
    (folder / "full").mkdir()
    for name, text in (
        ("bad.json", "{"),
        ("huge.json", '{"memory_gb": 1e999}'),
        ("list.json", "[]"),
        ("bad.yaml", "a: ["),
        ("full/x", ""),
    ):
        (folder / name).write_text(text)
    (folder / "broken" / "config.json").write_text("[]")
    (folder / "loop").symlink_to("loop")
    env = dict.fromkeys(("HF_TOKEN", "HF_HUB_CACHE", "MLXK_MODEL", "XDG_RUNTIME_DIR"), "")
    env |= {"HOME": str(root), "MLXK_HOME": str(root / "home"), "HF_HOME": str(root / "hf")}
    env |= {
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ETAG_TIMEOUT": "1",
    }
    cases = {line: (line.split(), env) for line in LINES}
    cases |= {
        ("hub", name): (["pull", "no/such"], env | {"HF_ENDPOINT": hubs[name]}) for name in HUBS
    }
    for home in NO_HOMES:
        cases |= {(home, line): (line.split(), env | {"MLXK_HOME": home}) for line in WRITING}
        cases[home, "profile --refresh"] = (["profile", "--refresh"], env | {"MLXK_HOME": home})
    done = carried_out([(["--json", *argv], env, folder) for argv, env in cases.values()])
    return dict(zip(cases, done, strict=True))


def checked(code, out, err):
    """The error of an answer that keeps every promise."""
    assert "Traceback" not in err
    assert out.count("\n") == 1
    value = orjson.loads(out)
    known = COMMANDS.get(value["command"])
    assert not problems(known.schema if known else "envelope", value)
    assert value["status"] == "error"
    assert code == codes()[value["error"]["type"]]
    return value["error"]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:60])
def test_wrong_input_is_one_document_with_its_own_error(line, answers):
    assert checked(*answers[line])["type"] == LINES[line]


@pytest.mark.parametrize("name", HUBS)
def test_what_is_no_hub_is_said_to_be_none(name, answers):
    error = checked(*answers["hub", name])
    assert (error["type"], bool(error["hint"]), error["retryable"]) == (HUBS[name], True, True)


@pytest.mark.parametrize("line", WRITING)
@pytest.mark.parametrize("home", NO_HOMES, ids=lambda home: home[:20])
def test_a_home_that_cannot_be_is_named(home, line, answers):
    assert checked(*answers[home, line])["type"] == NO_HOMES[home]


@pytest.mark.parametrize("home", NO_HOMES, ids=lambda home: home[:20])
def test_what_this_machine_is_can_be_asked_without_a_home(home, answers):
    code, out, _ = answers[home, "profile --refresh"]
    value = orjson.loads(out)
    assert (code, value["data"]["profile"]["backend"] is not None) == (0, True)
    assert [warning["code"] for warning in value["warnings"]] == ["not_saved"]


def test_every_command_was_given_something_wrong():
    nouns.load_all()
    given = {" ".join(line.split()[:n]) for line in LINES for n in (1, 2)}
    assert set(COMMANDS) <= given
