"""The sentence after a tool's answer: short, always the same, true to the answer."""

import re

from training.tiny_agent.tools import Call

CUT = " [cut]"
_NOTICE = re.compile(r"\n?\[lines \d+-\d+ of \d+; Read with offset=\d+ for more\]\s*$")
_EXIT = re.compile(r"\[exit code (\d+)\]\s*$")
_SHOWN = 5


def failed(result: str) -> bool:
    return result.startswith("Error: ") or _EXIT.search(result) is not None


def partial(result: str) -> bool:
    """A file of which only a part was seen must not be written again as a whole."""
    return result.endswith(CUT) or _NOTICE.search(result) is not None


def without_notice(result: str) -> str:
    return _NOTICE.sub("", result)


def left_alone(path: str) -> str:
    return f"I can see only a part of {path}, so I left it as it is."


def empty_line(path: str, number: int) -> str:
    return f"Line {number} of {path} is empty, so I left it as it is."


def added(path: str) -> str:
    return f"Added the text to {path}."


def changed_line(path: str, number: int) -> str:
    return f"Changed line {number} of {path}."


def closing(call: Call, result: str) -> str:
    if result.startswith("Error: "):
        return "That did not work: " + result.split("\n")[0].removeprefix("Error: ")
    path = call.arguments.get("path")
    match call.name:
        case "Write":
            verb = result.split(" ")[0]
            empty = not call.arguments["content"]
            return (
                f"{verb} {path}, which is empty."
                if empty
                else f"{verb} {path} with the text you asked for."
            )
        case "Edit":
            return f"Edited {path} {result[result.rindex('(') :]}."
        case "Read":
            return _read(call, result)
        case "Bash":
            return _bash(result)
        case "Grep":
            return result if result == "No matches." else f"First match: {_first_line(result)}"
        case _:
            return _names(result)


def _first_line(result: str) -> str:
    return result.split("\n")[0]


def _read(call: Call, result: str) -> str:
    path = call.arguments["path"]
    part = "offset" in call.arguments
    subject = f"That part of {path}" if part else str(path)
    if result == "(empty file)":
        return f"{path} is empty."
    text = without_notice(result).removesuffix("\n")
    first = _first_line(text)
    if not first.strip():
        return f"{subject} starts with an empty line."
    return (
        f"{subject} starts with: {first}"
        if "\n" in text or text != result.removesuffix("\n")
        else f"{subject} contains: {first}"
    )


def _bash(result: str) -> str:
    first = _first_line(result)
    if code := _EXIT.search(result):
        said = "" if first == "(no output)" or first.startswith("[exit code") else f": {first}"
        return f"The command failed with exit code {code[1]}{said or '.'}"
    return (
        "The command finished without output."
        if first == "(no output)"
        else f"The command printed: {first}"
    )


def _names(result: str) -> str:
    if result == "No files match.":
        return result
    if result == "(empty)":
        return "The folder is empty."
    names = result.removesuffix(CUT).strip("\n").split("\n")
    more = " and more" if len(names) > _SHOWN else ""
    return f"Found {', '.join(names[:_SHOWN])}{more}."
