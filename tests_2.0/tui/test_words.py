"""Words and completion of the terminal."""

import pytest

from mlxk.chat.types import Tool
from mlxk.tui import words
from mlxk.tui.complete import complete


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("bell\x07 back\x08space", "bell backspace"),
        ("a\tb", "a   b"),
        ("one\r\ntwo", "one\ntwo"),
        ("over\u202egnp.exe", "overgnp.exe"),
        ("\u05e9\u05dc\u05d5\u05dd \u4f60\u597d", "\u05e9\u05dc\u05d5\u05dd \u4f60\u597d"),
    ],
    ids=["colour", "title", "control", "tab", "crlf", "override", "right-to-left and wide"],
)
def test_nothing_that_a_model_writes_steers_the_terminal(text, shown):
    assert words.plain(text) == shown


def test_tools_are_listed_with_or_without_a_description():
    found = (Tool("Read", "Read a file.\nMore.", {}), Tool("mcp__a__echo", "", {}))
    assert words.tools(found) == "Read          Read a file.\nmcp__a__echo"


def test_a_call_is_named_by_what_it_is_about():
    assert words.call("Bash", '{"command": "pytest -q", "timeout": 9}') == "Bash pytest -q"
    assert words.call("Ls", "{}") == "Ls"
    assert words.call("Edit", "not json\nat all") == "Edit not json at all"


def test_long_output_says_how_much_more_there_is():
    assert words.clipped("1\n2\n3\n4\n", 2) == "1\n2\n… 2 more lines"
    assert words.clipped("1\n2\n", 2) == "1\n2"


def test_commands_options_and_paths_are_completed(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "greet.py").touch()
    (tmp_path / "src" / "great.py").touch()
    (tmp_path / ".git").mkdir()
    assert complete("/lan", tmp_path) == ("/land ", [])
    assert complete("/br", tmp_path) == ("/branch", ["/branch", "/branches"])
    assert complete("/land --me", tmp_path) == ("/land --merge ", [])
    assert complete("look at s", tmp_path) == ("look at src/", [])
    found = ["src/great.py", "src/greet.py"]
    assert complete("look at src/g", tmp_path) == ("look at src/gre", found)
    assert complete("nothing ", tmp_path) == ("nothing ", [])
    assert complete("nowhere/x", tmp_path) == ("nowhere/x", [])


def test_a_long_name_of_a_tab_keeps_its_end():
    assert words.both_ends("greet", 24) == "greet"
    first, second = "create-a-file-hello-txt-containing", "create-a-file-hello-txt-containing-2"
    shown = words.both_ends(first, 24), words.both_ends(second, 24)
    assert shown == ("create-a-file-hel…aining", "create-a-file-hel…ning-2")
