"""`.hfignore` means what .gitignore means: git itself is asked."""

import shutil
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlxk.hub.ignore import has_secret, is_excluded, is_ignored, parse

GIT = shutil.which("git")


@pytest.mark.parametrize(
    ("rules", "name", "ignored"),
    [
        ("*.log", "a/b/x.log", True),
        ("/x.log", "a/x.log", False),
        ("a/x.log", "b/a/x.log", False),
        ("logs/", "logs/x", True),
        ("logs/", "logs", False),
        ("**/x", "a/b/x", True),
        ("a/**/x", "a/x", True),
        ("a/**", "a/b/c", True),
        ("*.log\n!keep.log", "keep.log", False),
        ("logs/\n!logs/keep", "logs/keep", True),
        ("# x", "# x", False),
        (r"\#x", "#x", True),
        ("x\\ ", "x ", True),
        ("x ", "x", True),
        ("[a-c].txt", "b.txt", True),
        ("[!a-c].txt", "b.txt", False),
        ("a?c", "a/c", False),
        ("*", "a/b", True),
        ("", "a", False),
        ("[", "[", True),
    ],
)
def test_rules_are_read_like_git_reads_them(rules, name, ignored):
    assert is_ignored(name, parse(rules)) is ignored


LINES = st.lists(st.text("ab*?/!#[]^-\\ ", min_size=1, max_size=6), min_size=1, max_size=3)
PARTS = st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    if GIT is None:
        pytest.skip("asks git")
    folder = tmp_path_factory.mktemp("git")
    subprocess.run([GIT, "init", "-q", folder], check=True)
    return folder


@settings(max_examples=60, deadline=None)
@given(lines=LINES, parts=PARTS)
def test_git_agrees(checkout, lines, parts):
    # Brackets and backslashes have corners that differ even between versions of git.
    assume(not any(set(line) & set("[]\\") for line in lines))
    assume(all(line.strip() for line in lines))
    (checkout / ".gitignore").write_text("\n".join(lines) + "\n")
    name = "/".join(parts)
    argv = [GIT, "-C", checkout, "check-ignore", "-q", "--no-index", name]
    assert is_ignored(name, parse("\n".join(lines))) is (subprocess.run(argv).returncode == 0)


@given(st.text(max_size=30), st.text(min_size=1, max_size=30))
def test_no_rule_and_no_name_is_an_error(rules, name):
    assert is_ignored(name, parse(rules)) in (True, False)


@pytest.mark.parametrize("name", [".git/x", "a/__pycache__/b", ".ENV", "Server.PEM", "id_ed25519"])
def test_hard_rules_hold_everywhere(name):
    assert is_excluded(name)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "keys.txt", "environment.md"])
def test_models_are_not_excluded(name):
    assert not is_excluded(name)


def test_ordinary_text_holds_no_secret():
    assert not has_secret(b'{"model_type": "sk-learn", "hf_name": "hf_short"}')
