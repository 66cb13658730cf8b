"""Each tool does its work inside the worktree and says in words what went wrong."""

import asyncio
import os
import subprocess

import orjson
import pytest

from mlxk.agent.calls import Caller
from mlxk.agent.confine import Confinement
from mlxk.agent.events import Sender
from mlxk.agent.permissions import Gate, Permissions
from mlxk.agent.tools import BUILTIN
from mlxk.agent.tools.base import Context, Limits
from mlxk.agent.workspace import Workspace
from mlxk.chat.types import ToolUse
from mlxk.system import clock

BEHIND = "Error: b.txt has 3 lines; offset 9 is behind its end"


def edit(old, new):
    return {"path": "b.txt", "old_string": old, "new_string": new}


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "src").mkdir(parents=True)
    (root / "src/a.py").write_text("def main():\n    return 1\n")
    (root / "b.txt").write_text("one\ntwo\nthree\n")
    (root / ".git").write_text("gitdir: elsewhere\n")
    (tmp_path / "secret.txt").write_text("outside")
    return root


@pytest.fixture
def call(tree):
    heard = []

    def run(name, **arguments):
        limits = Limits(timeout_s=arguments.pop("_timeout", 20), output_bytes=2000)
        workspace = Workspace.at(tree)
        context = Context(workspace, Confinement("none", workspace.root), limits, lambda _: None)
        sender = Sender(heard.append, "s", clock.now)
        caller = Caller(BUILTIN.values(), context, sender, Gate(Permissions(), sender, None))
        done = []
        text = arguments.pop("_raw", None) or orjson.dumps(arguments).decode()
        asyncio.run(caller.run((ToolUse("1", name, text),), done))
        run.outcome = done[0]
        return done[0].result.text

    run.heard = heard
    return run


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("Read", {"path": "b.txt"}, "one\ntwo\nthree\n"),
        ("Read", {"path": "b.txt", "offset": 2, "limit": 1}, "two\n"),
        (
            "Read",
            {"path": "b.txt", "offset": 9},
            BEHIND,
        ),
        ("Read", {"path": "no.txt"}, "Error: no such file: no.txt"),
        ("Read", {"path": "src"}, "Error: src is a folder"),
        ("Write", {"path": "new/x.txt", "content": "hi"}, "Created new/x.txt (1 line, 2 bytes)"),
        ("Write", {"path": "b.txt", "content": "a\nb\n"}, "Replaced b.txt (2 lines, 4 bytes)"),
        ("Write", {"path": "src", "content": "x"}, "Error: src is a folder"),
        ("Write", {"path": "b.txt/x", "content": ""}, "Error: a part of b.txt/x is not a folder"),
        (
            "Edit",
            {"path": "b.txt", "old_string": "two", "new_string": "2"},
            "Edited b.txt (1 replacement)",
        ),
        (
            "Edit",
            {"path": "b.txt", "old_string": "four", "new_string": "4"},
            "Error: old_string was not found in b.txt",
        ),
        (
            "Edit",
            {"path": "b.txt", "old_string": "t", "new_string": "T"},
            "Error: old_string occurs 2 times in b.txt; add context or set replace_all",
        ),
        (
            "Edit",
            {"path": "b.txt", "old_string": "t", "new_string": "T", "replace_all": True},
            "Edited b.txt (2 replacements)",
        ),
        ("Bash", {"command": "echo hi"}, "hi\n"),
        ("Bash", {"command": "true"}, "(no output)"),
        ("Bash", {"command": "echo x; exit 2"}, "x\n[exit code 2]"),
        ("Bash", {"command": "exit 2"}, "[exit code 2]"),
        ("Grep", {"pattern": r"def \w+"}, "src/a.py:1:def main():\n"),
        ("Grep", {"pattern": "t", "glob": "*.py"}, "src/a.py:2:    return 1\n"),
        ("Grep", {"pattern": "two", "path": "b.txt"}, "b.txt:2:two\n"),
        ("Grep", {"pattern": "zebra"}, "No matches."),
        ("Grep", {"pattern": "gitdir"}, "No matches."),
        ("Grep", {"pattern": "x", "path": "no"}, "Error: no such file or folder: no"),
        ("Find", {"pattern": "*.py"}, "src/a.py"),
        ("Find", {"pattern": "**/a.*"}, "src/a.py"),
        ("Find", {"pattern": "*.rs"}, "No files match."),
        ("Find", {"pattern": ".git"}, "No files match."),
        ("Ls", {}, "b.txt\nsrc/"),
        ("Ls", {"path": "src"}, "a.py"),
        ("Ls", {"path": "no"}, "Error: no such folder: no"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_call_answers(call, name, arguments, answer):
    assert call(name, **arguments) == answer


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("{", "Error: arguments is not valid JSON"),
        ("[]", "Error: arguments: [] is not of type 'object'"),
        ("{}", "Error: arguments: 'path' is a required property"),
        ('{"path": 3}', "Error: arguments/path: 3 is not of type 'string'"),
        ('{"path": "b.txt", "x": 1}', "Error: arguments: Additional properties"),
        ('{"path": "a\\u0000b"}', "Error: arguments/path: holds a NUL"),
        ('{"path": "\\ud800"}', "Error: arguments/path: is not valid Unicode"),
        ('{"path": "b.txt", "offset": 2.5}', "Error: arguments/offset: 2.5 is not of type"),
    ],
)
def test_bad_arguments_go_back_to_the_model(call, raw, answer):
    assert call("Read", _raw=raw).startswith(answer)


def test_an_unknown_tool_is_refused_and_counted_as_denied(call):
    assert call("Delete", path="b.txt").startswith("Error: tool 'Delete' is not available")
    assert call.outcome.denial.tool == "Delete"


OUTSIDE = [
    "../secret.txt", "src/../../secret.txt", "/etc/passwd", "link.txt", "folder/secret.txt", ".git",
    ".GIT/config", "src/.git", "x/../.git", "git~1", ".git.", ".g\u200cit", "dangling",
]  # fmt: skip


@pytest.mark.parametrize("tool", ["Read", "Write", "Edit"])
@pytest.mark.parametrize("path", OUTSIDE)
def test_no_tool_leaves_the_worktree_or_enters_git(call, tree, tool, path):
    (tree / "link.txt").symlink_to(tree.parent / "secret.txt")
    (tree / "folder").symlink_to(tree.parent)
    (tree / "dangling").symlink_to(tree.parent / "not-there")
    rest = {"Read": {}, "Write": {"content": "x"}, "Edit": {"old_string": "o", "new_string": "x"}}
    assert call(tool, path=path, **rest[tool]).startswith("Error: path ")
    assert call.outcome.denial
    assert (tree.parent / "secret.txt").read_text() == "outside"
    assert not (tree.parent / "not-there").exists()


@pytest.mark.parametrize("tool", ["Grep", "Find", "Ls"])
@pytest.mark.parametrize("path", ["..", "/etc", ".git", "folder"])
def test_no_search_leaves_the_worktree(call, tree, tool, path):
    (tree / "folder").symlink_to(tree.parent)
    pattern = {} if tool == "Ls" else {"pattern": "*" if tool == "Find" else "outside"}
    assert call(tool, path=path, **pattern).startswith("Error: path ")


def test_a_search_does_not_follow_links_out(call, tree):
    (tree / "link.txt").symlink_to(tree.parent / "secret.txt")
    (tree / "folder").symlink_to(tree.parent)
    assert call("Grep", pattern="outside") == "No matches."


@pytest.mark.parametrize("tool", ["Read", "Write", "Edit"])
def test_pipes_and_devices_are_not_files(call, tree, tool):
    os.mkfifo(tree / "pipe")
    rest = {"Read": {}, "Write": {"content": "x"}, "Edit": {"old_string": "o", "new_string": "x"}}
    assert call(tool, path="pipe", **rest[tool]) == "Error: not a regular file: pipe"
    assert call("Grep", pattern="x") == "No matches."


def test_edit_changes_only_the_bytes_named(call, tree):
    path = tree / "dos.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n\xff\xfe three")
    path.chmod(0o755)
    call("Edit", path="dos.txt", old_string="one\ntwo", new_string="1\n2")
    assert path.read_bytes() == b"\xef\xbb\xbf1\r\n2\r\n\xff\xfe three"
    assert path.stat().st_mode & 0o777 == 0o755


def test_long_output_is_cut_and_says_how_to_get_the_rest(call, tree):
    (tree / "long.txt").write_text("".join(f"line {n}\n" for n in range(1000)))
    assert call("Read", path="long.txt").endswith("of 1000; Read with offset=235 for more]")
    assert call("Bash", command="seq 5000").endswith("redirect to a file and Read it]")
    assert len(call("Grep", pattern="line")) < 2200


def test_a_command_that_hangs_is_killed_with_its_children(call, tree):
    nap = f"sleep {20000 + os.getpid() % 10000}"
    assert "timed out after 0.5 s" in call("Bash", command=f"{nap} & {nap}", _timeout=0.5)
    assert subprocess.run(["pgrep", "-f", f"^{nap}$"], check=False).returncode == 1


def test_a_daemon_does_not_keep_the_call_open(call):
    assert call("Bash", command="sleep 30 & echo started") == "started\n"


def test_a_pattern_that_backtracks_for_ever_is_stopped(call, tree, monkeypatch):
    from mlxk.agent.tools import grep

    monkeypatch.setattr(grep, "_SECONDS", 1.0)
    (tree / "evil.txt").write_text("a" * 40 + "!")
    assert "took longer than 1 s" in call("Grep", pattern="(a+)+$")


def test_no_secret_reaches_a_command_or_its_output(call, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-0123456789abcdefghijkl")
    assert "sk-proj" not in call("Bash", command="env; echo $OPENAI_API_KEY")
    leaked = "echo hf_abcdefghijklmnopqrstuvwxyz0123456789 $((1))"
    assert call("Bash", command=leaked) == "[redacted] 1\n"


def test_output_is_passed_on_while_a_command_runs(call):
    call("Bash", command="echo one; sleep 0.2; echo two")
    texts = [e.data.text for e in call.heard if e.type == "tool.output"]
    assert texts == ["one\n", "two\n"]


def test_reading_calls_run_side_by_side(tree):
    workspace = Workspace.at(tree)
    context = Context(workspace, Confinement("none", workspace.root), Limits(), lambda _: None)
    heard, done = [], []
    sender = Sender(heard.append, "s", clock.now)
    caller = Caller(BUILTIN.values(), context, sender, Gate(Permissions(), sender, None))
    uses = tuple(ToolUse(str(n), "Grep", '{"pattern": "one"}') for n in range(3))
    asyncio.run(caller.run(uses, done))
    assert [e.type for e in heard[:3]] == ["tool.started"] * 3
    assert [o.result.tool_use_id for o in done] == ["0", "1", "2"]


def test_a_whole_number_may_be_written_with_a_point(call):
    assert call("Read", _raw='{"path": "b.txt", "offset": 2.0, "limit": 1.0}') == "two\n"


@pytest.mark.parametrize("pattern", ["[z-a]", "[!]", "[", "**", ""])
def test_an_odd_glob_is_answered_not_a_crash(call, pattern):
    assert call("Find", pattern=pattern)


@pytest.mark.parametrize("name", ["Write", "Edit"])
def test_text_may_hold_a_nul(call, tree, name):
    (tree / "z.txt").write_bytes(b"a\0b")
    rest = {"content": "a\0b"} if name == "Write" else {"old_string": "\0b", "new_string": "c"}
    assert not call(name, path="z.txt", **rest).startswith("Error")


def test_a_secret_in_two_pieces_of_output_is_redacted():
    from mlxk.agent.redact import Redactor

    heard = []
    redactor = Redactor(heard.append)
    for piece in (
        "key hf_abcdefghijklmn",
        "opqrstuvwxyz0123456789\n-----BEGIN X PRIVATE KEY-----\n",
    ):
        redactor.feed(piece)
    redactor.feed("secret\n-----END X PRIVATE KEY-----\nend")
    redactor.flush()
    assert "".join(heard) == "key [redacted]\n[redacted]\nend"


def test_a_second_private_key_is_held_as_the_first():
    from mlxk.agent.redact import Redactor

    heard = []
    redactor = Redactor(heard.append)
    begin, end = "-----BEGIN PRIVATE KEY-----\n", "-----END PRIVATE KEY-----\n"
    redactor.feed(f"{begin}one\n{end}{begin}tw\n")
    redactor.feed(f"o\n{end}end\n")
    assert "".join(heard) == "[redacted]\n[redacted]\nend\n"


def test_a_secret_that_another_begins_with_is_redacted_whole():
    from mlxk.agent.redact import redacted

    env = {"A_TOKEN": "abcdefgh", "B_TOKEN": "abcdefghijkl"}
    assert redacted("is abcdefghijkl", env) == "is [redacted]"
