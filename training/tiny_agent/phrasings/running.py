"""Requests that become a shell command: a given one, or the command for moving, copying, deleting, counting."""

# ruff: noqa: E501 -- one template a line

import shlex

from training.tiny_agent.grammar import Template, templates
from training.tiny_agent.phrasings.nouns import SLOTS
from training.tiny_agent.requests import Request, do, fill, marked_path, quoted
from training.tiny_agent.source import Source
from training.tiny_agent.values import command

RUN = templates("""
    6* [run|run|run|execute|run the command|run the command|execute the command|run the shell command|call|start|launch|try|try to run|invoke|perform] {command}
    2* [run|execute|run this|execute this|run this command|run the following command|run the following|execute the following|command|next command|shell|terminal|run this in the terminal][:|:|:⏎] {command}
    [use the shell to run|in the shell, run|i want to run|i'd like to run|please run this:|use bash to run|use the terminal to run] {command}
    run the {word} [with|using] {command}
    [run|check|execute] [the tests|the test suite|my tests|all tests|the program|the script|the build|the linter] [with|using|by running] {command}
    [run|execute] the [tests|test suite|script|linter|build|program]: {command}
    run {command} [and show me the output|and tell me the result|and show the output|and tell me what it prints|and give me the output|and tell me what happens]
    $ {command}
    what does {command} [print|say|output][?|]
    [install|build|start|test|format|lint|check] [the dependencies|the project|everything|the app|the code|it] [with|using] {command}
    [test|check|build|start] it with {command}
""")
RUN_QUOTED = templates("""
    run {command} in [the|a] [shell|terminal]
    what [does {command} print|does {command} say|is the output of {command}][?|?|]
    [show me|give me|i want|tell me] the output of {command}
    [use {command} to {verb} the {word}|use the command {command}]
    [in a terminal|in the shell] run {command}
    type {command} [in the terminal|into the shell]
    let me see what {command} prints
    see what {command} says
    have the shell run {command}
    do {command}
    run {command} and [tell me the result|show me the output]
    {command} please
""")
TIMED = templates("""
    2* [run|execute] {command} with a timeout of {n} [seconds|s|sec]
    [run|execute] {command} with timeout {n}
    [run|execute] {command} [but stop it after|and stop after|for at most|and give it] {n} seconds
""")
SCRIPT = templates("""
    3* [run|execute|start|launch|call] [||||the file |the script |the program |my script |the python script ]{file}
    try [running |]{file}
    [can i see|show me|what is] the output of {file}
    run {file} and [show me the output|tell me what it prints|show the output|tell me the output]
""")
DELETE = templates("""
    4* [delete|remove|erase|rm|get rid of|throw away|trash] [|||the file |file |my file ]{file}
    [delete|remove] {file} [from the project|from disk|from the repository|for good]
    i want [{file} deleted|{file} removed|to delete {file}]
""")
DELETE_FOLDER = templates("""
    3* [delete|remove] [the |][folder|directory] {folder}[| and everything in it| with all files]
    [delete|remove] the {folder} [folder|directory]
""")
DELETE_BOTH = templates("""
    2* [delete|remove|rm] [|the files |both ]{file} and {other}
""")
MAKE_FOLDERS = templates("""
    [create|make] [the |two |]folders {folder} and {other_folder}
    [create|make] [the |]directories {folder} and {other_folder}
""")
MOVE = templates("""
    4* rename [|||the file |file |my file ]{file} [to|to|as|into] {other}
    2* move [|||the file |file ]{file} to {other}
    change the name of {file} to {other}
    give {file} the [new |]name {other}
""")
MOVE_INTO = templates("""
    2* move [|||the file |file ]{file} [into|to] [the folder |the directory |folder ]{folder}
    move {file} [into|to] the {folder} [folder|directory]
    put the file {file} into the [folder {folder}|{folder} folder]
""")
COPY = templates("""
    4* [copy|cp|duplicate] [|||the file |file |my file ]{file} [to|to|as|into] {other}
    make a copy of {file} [called|named|as|with the name] {other}
    [back up|backup] {file} [to|as] {other}
    [save|create] a copy of {file} as {other}
""")
MAKE_FOLDER = templates("""
    6* [create|make|add|set up|i need|i want] [a |a new |the |new |][folder|directory] [||called |named |called ]{folder}
    mkdir {folder}
    [create|make] [a |the ]{folder} [folder|directory]
""")
COUNT_LINES = templates("""
    2* [count|count all] the lines [in|of] {old}{file}
    2* how many lines [does {file} have|are in {file}|are there in {file}|has {file}][?|?|]
    line count of {file}
""")
COUNT_WORDS = templates("""
    count the words [in|of] {old}{file}
    how many words [does {file} have|are in {file}|are there in {file}][?|?|]
""")
LAST_LINES = templates("""
    2* [show|show me|read|print|display|give me] the last {n} lines of {old}{file}
    what are the last {n} lines of {file}[?|]
""")
EXECUTABLE = templates("make {file} executable\n make the [file|script] {file} executable")
COMPARE = templates("""
    2* compare {file} [and|with|to] {other}
    [diff|show the difference between|show me the differences between|what is the difference between] {file} and {other}
""")
PROGRAMS = {"py": "python3", "sh": "sh", "js": "node", "rb": "ruby"}
_COMMAND_STARTS = frozenset(
    [
        "git",
        "pwd",
        "echo",
        "touch",
        "pip",
        "npm",
        "python",
        "python3",
        "pytest",
        "sed",
        "wc",
        "head",
        "tail",
        "curl",
        "docker",
        "node",
        "cargo",
        "uv",
        "uname",
        "df",
        "whoami",
        "date",
        "uptime",
        "chmod",
        "sh",
        "bash",
        "ruff",
    ]
)
_FENCED = (
    "run",
    "run this",
    "run the command",
    "execute",
    "run the following command",
    "execute this",
)


def run(source: Source, *, closed: bool = False) -> Request:
    text = command(source)
    if source.chance(0.07) and not closed and text.split()[0] in _COMMAND_STARTS and " " in text:
        return Request(text, (do("Bash", command=text),), closed=False, opens_with_value=True)
    if source.chance(0.03) and not closed and "`" not in text:
        head, end = source.pick(_FENCED), source.pick((":\n", "\n", ":\n\n"))
        return Request(
            f"{head}{end}```{source.pick(('', '', 'sh', 'bash'))}\n{text}\n```",
            (do("Bash", command=text),),
        )
    bare = not closed and text[0] not in "`\"'" and source.chance(0.6)
    shown = text if bare else quoted(source, text)
    if shown is None:
        return run(source, closed=closed)
    if source.chance(0.06):
        return _timed(source, text, shown)
    options = RUN if bare or source.chance(0.6) else RUN_QUOTED
    said, template = fill(source, options, {**SLOTS, "command": shown})
    if not bare or not said.endswith(text):
        return Request(said, (do("Bash", command=text),), opens_with_value=template.opens_with_slot)
    alone = text[-1].isalnum() and not set(text) & set(
        ";&|"
    )  # then words after it are not the command's
    return Request(said, (do("Bash", command=text),), closed=alone)


def _timed(source: Source, text: str, shown: str) -> Request:
    seconds = source.pick(
        (5, 10, 15, 20, 30, 45, 60, 90, 100, 120, 180, 300, 600, source.between(1, 999))
    )
    said, _ = fill(source, TIMED, {**SLOTS, "command": shown, "n": str(seconds)})
    return Request(said, (do("Bash", command=text, timeout=seconds),))


def run_file(source: Source, *, closed: bool = False) -> Request:
    extension = source.pick(("py", "py", "py", "sh", "sh", "js", "js", "rb"))
    path = f"{source.stem()}.{extension}"
    path = f"{source.folder()}/{path}" if source.chance(0.25) else path
    said, _ = fill(source, SCRIPT, {**SLOTS, "file": marked_path(source, path)})
    return Request(said, (do("Bash", command=f"{PROGRAMS[extension]} {shlex.quote(path)}"),))


def manage(source: Source, *, closed: bool = False) -> Request:
    """Delete, move, copy, make folders, count: there are shell commands for these."""
    path, other, folder, other_folder = (
        source.path(),
        source.path(),
        source.folder(),
        source.folder(),
    )
    count = source.between(1, 50)
    slots = {
        **SLOTS, "file": marked_path(source, path), "other": marked_path(source, other),
        "folder": marked_path(source, folder), "n": str(count), "other_folder": marked_path(source, other_folder),
    }  # fmt: skip
    options, words = source.pick(_jobs(path, other, (folder, other_folder), count))
    said, template = fill(source, options, slots)
    line = " ".join(_shell_word(word) for word in words)
    return Request(said, (do("Bash", command=line),), opens_with_value=template.opens_with_slot)


def _shell_word(word: str) -> str:
    return word if word.startswith("~/") and " " not in word else shlex.quote(word)


def _jobs(
    path: str, other: str, folders: tuple[str, str], count: int
) -> tuple[tuple[tuple[Template, ...], tuple[str, ...]], ...]:
    folder = folders[0]
    return (
        (DELETE, ("rm", path)), (DELETE, ("rm", path)), (DELETE, ("rm", path)), (DELETE_BOTH, ("rm", path, other)),
        (MAKE_FOLDERS, ("mkdir", "-p", folder, folders[1])),
        (DELETE_FOLDER, ("rm", "-r", folder)),
        (MOVE, ("mv", path, other)), (MOVE, ("mv", path, other)), (MOVE, ("mv", path, other)),
        (MOVE_INTO, ("mv", path, f"{folder}/")),
        (COPY, ("cp", path, other)), (COPY, ("cp", path, other)), (COPY, ("cp", path, other)),
        (MAKE_FOLDER, ("mkdir", "-p", folder)), (MAKE_FOLDER, ("mkdir", "-p", folder)),
        (COUNT_LINES, ("wc", "-l", path)), (COUNT_WORDS, ("wc", "-w", path)),
        (LAST_LINES, ("tail", "-n", str(count), path)), (LAST_LINES, ("tail", "-n", str(count), path)),
        (EXECUTABLE, ("chmod", "+x", path)), (COMPARE, ("diff", path, other)),
    )  # fmt: skip


def run_pair(source: Source) -> Request | None:
    first, second = command(source), command(source)
    one, two = quoted(source, first), quoted(source, second)
    if one is None or two is None or first == second:
        return None
    said, _ = fill(source, RUN_PAIRS, {**SLOTS, "a": one, "b": two})
    return Request(said, (do("Bash", command=first), do("Bash", command=second)))


RUN_PAIRS = templates("[run|execute|run the commands] {a}[ and | and then |, then ][||run ]{b}")
