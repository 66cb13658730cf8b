"""The process boundary: one document on stdout whatever happens, and a true exit code."""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios

import checkout
import orjson
import pytest
from waiting import until

from mlxk.cli.options import Options, take_options
from mlxk.contract.validate import problems

MLXK = [sys.executable, "-m", "mlxk"]
HEAVY = {
    "mlx", "mlx_lm", "transformers", "aiohttp", "dulwich", "huggingface_hub", "jsonschema",
    "asyncio", "rich", "textual", "tokenizers", "numpy",
}  # fmt: skip


def mlxk(*argv, **options):
    return subprocess.run([*MLXK, *argv], capture_output=True, check=False, timeout=60, **options)


def envelope(*argv, **options):
    done = mlxk(*argv, **options)
    value = orjson.loads(done.stdout)
    assert not problems("envelope", value)
    assert b"Traceback" not in done.stderr
    return value, done.returncode


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["lst", "--json"], "lst"),
        (["--json", "list", "--bad"], "list"),
        (["branch", "--json"], "branch"),
        (["branch", "--json", "lst"], "branch"),
        (["list", "a", "b", "c", "--json"], "list"),
        (["agent", "", "--json"], "agent"),
        (["agent", "x", "--max-turns", "none", "--json"], "agent"),
        (["version", "--json", "--verbose=3"], "version"),
        (["show", "--json"], "show"),
    ],
    ids=" ".join,
)
def test_a_usage_error_is_an_envelope(argv, command, home):
    value, code = envelope(*argv)
    assert (value["error"]["type"], value["command"], code) == ("usage_error", command, 2)
    assert value["error"]["hint"].startswith(("mlxk", "quote"))


@pytest.mark.parametrize("line", ["--json version", "version --json", "--version --json"])
def test_json_is_taken_anywhere_on_the_line(line, home):
    value, code = envelope(*line.split())
    assert (value["status"], value["command"], code) == ("success", "version", 0)


def test_the_environment_can_ask_for_json(home):
    value, _ = envelope("version", env={**os.environ, "MLXK_JSON": "1"})
    assert value["command"] == "version"


@pytest.mark.parametrize("line", ["", "--help", "list --help", "branch --help", "help branch show"])
def test_help_is_an_envelope_too(line, home):
    value, code = envelope(*line.split(), "--json")
    assert value["command"] == "help"
    assert "Usage: mlxk" in value["data"]["text"]
    assert code == 0


def test_without_json_an_error_is_two_lines_on_stderr(home):
    done = mlxk("show", "no/such-model")
    assert (done.stdout, done.returncode) == (b"", 1)
    assert done.stderr.startswith(b"mlxk: no model matches")
    assert done.stderr.count(b"\n") == 2


def test_after_a_double_dash_json_is_a_word():
    options, argv = take_options(["agent", "--json", "--", "--json"], {})
    assert (options, argv) == (Options(json=True), ["agent", "--", "--json"])


def test_events_imply_json():
    assert take_options(["list", "--events"], {})[0] == Options(json=True, events=True)


def test_a_reader_that_leaves_causes_no_traceback(home):
    shell = f"{' '.join(MLXK)} schema list --json | head -c 1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == (b"{", b"")


def test_a_closed_stdout_causes_no_traceback(home):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*MLXK, "schema"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.stderr == b""


def unread(pipe):
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_an_envelope(number, code, home, tmp_path):
    fifo = tmp_path / "prompt"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)  # an open pipe that nobody closes
    with subprocess.Popen(
        [*MLXK, "agent", "--json"], stdin=keeper, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        os.write(keeper, b"hello")
        until(lambda: unread(keeper) == 0)
        child.send_signal(number)
        out, err = child.communicate(timeout=20)
    os.close(keeper)
    assert (orjson.loads(out)["error"]["type"], child.returncode) == ("interrupted", code)
    assert b"Traceback" not in err


def test_the_answer_is_checked_before_it_is_printed(home):
    """A schema that the answer breaks: never silently wrong data."""
    probe = (
        "import sys; from mlxk.contract import registry; load = registry.load\n"
        "wrong = {**load('version'), 'properties': {'command': {'const': 'other'}}}\n"
        "registry.load = lambda name: wrong if name == 'version' else load(name)\n"
        "sys.argv = ['mlxk', 'version', '--json']\n"
        "from mlxk.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False)
    value = orjson.loads(done.stdout)
    assert (value["error"]["type"], done.returncode) == ("internal_error", 70)
    assert "/command" in value["error"]["message"]


def test_the_command_line_starts_light():
    probe = (
        "import sys, mlxk.cli.main, mlxk.cli.invoke\n"
        "print(*{m.partition('.')[0] for m in sys.modules})"
    )
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not HEAVY & set(out.stdout.split())


@pytest.mark.parametrize("command", ["list", "show builtin:tiny", "health"])
def test_model_commands_import_nothing_heavy(command, home):
    probe = (
        f"import sys; sys.argv = ['mlxk', *{command.split()!r}, '--json']\n"
        "import atexit; from mlxk.cli.main import main\n"
        "names = lambda: {m.partition('.')[0] for m in sys.modules}\n"
        "atexit.register(lambda: print(*names(), file=sys.stderr))\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    assert not (HEAVY - {"jsonschema"}) & set(done.stderr.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed_and_answer(shell, home):
    assert b"_MLXK_COMPLETE" in mlxk("completion", shell).stdout
    asked = {"_MLXK_COMPLETE": "complete_bash", "COMP_WORDS": "mlxk ver", "COMP_CWORD": "1"}
    assert mlxk(env={**os.environ, **asked}).stdout.split() == [b"version"]


def test_completion_installs_where_the_shell_looks(home):
    value, _ = envelope("completion", "fish", "--install", "--json")
    assert (home / ".config/fish/completions/mlxk.fish").read_text().startswith("complete")
    assert value["data"]["installed_to"].startswith(str(home))


def test_doctor_names_each_check_and_what_to_type(home):
    value, code = envelope("doctor", "--json")
    rows = {row["name"]: row for row in value["data"]["checks"]}
    assert {"backend", "cache", "hub-token", "disk", "git-identity", "service-manager"} <= set(rows)
    assert all(row["hint"] for row in rows.values() if row["status"] == "failed")
    assert code == (1 if any(r["status"] == "failed" for r in rows.values()) else 0)


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("module", ["typer", "orjson", "mlxk.hub.listing", "jsonschema_rs"])
def test_a_signal_while_modules_load_is_an_envelope(number, code, module, home, tmp_path):
    """The signal comes from inside the import of `module`, wherever the command is by then."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Trap:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            sys.meta_path.remove(self)\n"
        f"            os.kill(os.getpid(), signal.{number})\n"
        "sys.meta_path.insert(0, Trap())\n"
    )
    done = mlxk("list", "--json", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert b"Traceback" not in done.stderr
    if module == "jsonschema_rs":  # the answer was known: it is too late to change it
        assert done.returncode in (-2, -15)
    else:
        assert (orjson.loads(done.stdout)["error"]["type"], done.returncode) == (
            "interrupted",
            code,
        )


@pytest.mark.parametrize("command", ["agent", "run builtin:tiny"])
def test_a_closed_standard_input_is_a_usage_error(command, home, tmp_path):
    line = f"{' '.join(MLXK)} {command} --json <&-"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, check=False)
    assert (orjson.loads(done.stdout)["error"]["type"], done.returncode) == ("usage_error", 2)


@pytest.mark.parametrize("line", ["list", "list --json", "--version", "nope --json", "schema"])
@pytest.mark.parametrize("where", [">&-", "2>&-", ">/dev/full", "2>/dev/full", "| true"])
def test_output_that_cannot_be_written_is_no_traceback(line, where, home):
    shell = f"{' '.join(MLXK)} {line} {where}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    if where in (">&-", "2>&-", "2>/dev/full"):
        assert done.returncode == (2 if line.startswith("nope") else 0)


def test_what_the_terminal_cannot_show_is_replaced(home):
    done = mlxk("help", "agent", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_home_that_is_a_file_is_named(home, tmp_path):
    checkout.make(tmp_path / "repo")
    env = {**os.environ, "MLXK_HOME": "/etc/passwd"}
    value, code = envelope("agent", "hello", "--json", cwd=tmp_path / "repo", env=env)
    assert (value["error"]["type"], code) == ("corrupt_state", 1)
    assert "/etc/passwd" in value["error"]["message"]


def test_a_folder_that_is_gone_is_named(home, tmp_path):
    (tmp_path / "gone").mkdir()
    shell = f"cd {tmp_path}/gone && rmdir {tmp_path}/gone && {' '.join(MLXK)} agent hi --json"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, check=False)
    assert orjson.loads(done.stdout)["error"]["type"] == "not_found"


@pytest.mark.parametrize("flag", ["--max-seconds", "--temperature", "--tool-timeout"])
def test_not_a_number_is_refused(flag, home, monkeypatch):
    monkeypatch.chdir(home)
    value, code = envelope("agent", "hello", flag, "nan", "--json")
    assert (value["error"]["type"], code) in (("invalid_value", 2), ("usage_error", 2))


def test_an_alias_of_nothing_is_refused_at_the_start(home):
    value, code = envelope("serve", "builtin:tiny", "--port", "auto", "--alias", "x=no", "--json")
    assert (value["error"]["type"], code) == ("model_not_found", 1)


@pytest.mark.parametrize("other", [("--api-key-env", "K"), ("--deployment", "d")], ids=" ".join)
def test_a_key_has_one_place(home, other):
    value, code = envelope("serve", "builtin:tiny", "--api-key-file", "k", *other, "--json")
    assert (value["error"]["message"], code) == ("the key has one place", 2)


def test_a_home_that_cannot_be_written_is_enough_to_run_a_model(home, monkeypatch):
    (home / "file").write_bytes(b"")
    monkeypatch.setenv("MLXK_HOME", str(home / "file" / "home"))
    value, code = envelope("run", "builtin:tiny", "hello", "--max-tokens", "2", "--json")
    assert (value["status"], code) == ("success", 0)
    assert "no_log" in {warning["code"] for warning in value["warnings"]}
