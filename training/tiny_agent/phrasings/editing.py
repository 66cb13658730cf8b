"""Requests that change a part of a file: replace, remove, add a line, change a line."""

# ruff: noqa: E501 -- one template a line

from training.tiny_agent.grammar import templates
from training.tiny_agent.phrasings.nouns import SLOTS
from training.tiny_agent.requests import (
    AddText,
    ChangeLine,
    Goal,
    Request,
    do,
    fill,
    is_plain,
    is_quoted,
    marked_path,
    quoted,
)
from training.tiny_agent.source import Source
from training.tiny_agent.values import altered, code, code_line, content, lines, short

_WHAT = "[||||||the word |the text |the string |the phrase |the value |the name |the number |the line |the words ]"
_CHANGE = "[replace {a} with {b}|replace {a} with {b}|replace {a} by {b}|change {a} to {b}|change {a} to {b}|change {a} into {b}|substitute {b} for {a}|swap {a} for {b}|rename {a} to {b}|turn {a} into {b}|switch {a} to {b}|convert {a} to {b}|correct {a} to {b}|update {a} to {b}]"
_CHANGE_WHAT = _CHANGE.replace("{a}", _WHAT + "{a}")
REPLACE = templates(f"""
    9* {_CHANGE_WHAT} in {{old}}{{file}}
    3* in {{old}}{{file}}[,|] {_CHANGE_WHAT}
    [edit|update|modify|fix|open|change|go to] {{old}}{{file}}[:| and|,] {_CHANGE_WHAT}
    {{file}}: {_CHANGE}
    [replace|change] {{a}} in {{file}} [with|to] {{b}}
    change [the |]{{thing}} from {{a}} to {{b}} in {{file}}
    in {{file}}[,|] [change|set|update|switch] the {{thing}} from {{a}} to {{b}}
    [set|switch|update|bump] the {{thing}} in {{file}} from {{a}} to {{b}}
    2* [update|edit|change|modify] {{file}} so that {{a}} [becomes|is replaced by|is replaced with|turns into|is now] {{b}}
    [update|edit|change|modify] {{file}} so {{a}} becomes {{b}}
    in {{file}}[,|] {{a}} should [become|be] {{b}}
    make {{a}} become {{b}} in {{file}}
    fix the typo {{a}} in {{file}}[ to|, it should be] {{b}}
    {{file}}: {{a}} -> {{b}}
    [fix|correct] the spelling of {{a}} to {{b}} in {{file}}
    [change|bump|update|set] {{thing}} from {{a}} to {{b}} in {{file}}
    in {{file}}: {{a}} -> {{b}}
    {_WHAT}{{a}} in {{file}} should [be|become] {{b}}
""")
REPLACE_QUOTED = templates(f"""
    {{a}} should be {{b}} in {{file}}
    in {{file}} it should say {{b}} instead of {{a}}
    use {{b}} instead of {{a}} in {{file}}
    put {{b}} in place of {{a}} in {{file}}
    find {{a}} in {{file}} and [replace it with|change it to] {{b}}
    {{file}} says {{a}} but it should say {{b}}
    i want {{a}} [replaced with|changed to|to be] {{b}} in {{file}}
    [edit|change|update] {{file}} [so that it says|to say] {{b}} instead of {{a}}
    where {{file}} says {{a}}, write {{b}}
    there is a typo in {{file}}: {{a}} should be {{b}}
    make {{file}} say {{b}} instead of {{a}}
    {_CHANGE_WHAT} in {{old}}{{file}}
""")
REPLACE_ALL = templates("""
    4* [replace|change] [all|every|each|all the|every single|any] {a} [with|to] {b} in {old}{file}
    3* [replace|change] [all occurrences of|every occurrence of|all instances of|each occurrence of|every instance of] {a} [with|to|by] {b} in {old}{file}
    in {old}{file}[,|] [replace|change] [all|every|each|all occurrences of|every occurrence of] {a} [with|to|by] {b}
    [replace|change] {a} [with|to|by] {b} everywhere in {file}
    [replace|change] {a} everywhere in {file} [with|to|by] {b}
    in {file}[,|] [replace|change] {a} [with|to|by] {b} everywhere
    rename [all|every] {a} to {b} in {file}
    2* [replace|change] [all|every|each|all occurrences of|every occurrence of|all instances of] {a} in {old}{file} [with|to|by] {b}
    rename {a} to {b} everywhere in {file}
    replace {a} [with|by] {b} throughout {file}
    [replace|change] all [the |]{a} in {file} [with|to|by] {b}
""")
REMOVE = templates("""
    3* [remove|delete|erase|drop|strip] [||the word |the text |the line |the string |the phrase |the words ]{a} from {old}{file}
    in {old}{file}[,|] [remove|delete] [|the word |the text |the line ]{a}
    [remove|delete] [the word |the line |the text ]{a} in {file}
    take {a} out of {file}
""")
REMOVE_ALL = templates("""
    [remove|delete] [all|every|all occurrences of|every occurrence of] {a} from {old}{file}
    in {file}[,|] [remove|delete] [all|every|all occurrences of] {a}
""")
_ADD = "[append|append|add|add|add|append the text|append the line|add the line|add the text|append the words|add a line|add a new line|append a line|add a line saying|add the words|insert|write|put|add one more line|add another line]"
_END = "[to the end of|at the end of|at the bottom of|to the bottom of|as the last line of|at the very end of]"
ADD = templates(f"""
    6* [append|append the text|append the line|append the words|add|add the line|add the text|add a line|append a line|add a line saying] {{text}} to {{old}}{{file}}
    5* {_ADD} {{text}} {_END} {{old}}{{file}}
    attach {{text}} to {{old}}{{file}}
""")
ADD_LAST = templates("""
    4* [append to|add to|append to the end of|add to the end of|append a line to|add a line to|add one more line to|add this to|append this to|add the following line to|append the following to|append a new line to|put this at the end of|extend|add this line to|add another line to|append another line to] {old}{file}: {text}
    [add|append] [a|another|one more|the] line to {file} [saying|that says|with the text|with]: {text}
""")
ADD_QUOTED = templates("""
    in {file}, [append|add] {text}
    to {file}[,|] [append|add] {text}
    {file} needs one more line: {text}
    [add|append|put|write] {text} [on a new line|as a new line|as another line] [in|to|of] {file}
    [add|append] {text} to {file} [as a new line|on a new line|at the end]
    extend {old}{file} with {text}
    {file} should end with {text}
    i want {text} [at the end of|added to|appended to] {file}
    i need {text} [appended to|added to] {file}
    stick {text} onto the end of {file}
    {text} should be appended to {file}
    [open|go to the end of] {file} and add {text}[| at the end]
    [append|add] to {file} the [text|line|words] {text}
    at the end of {file}, [add|write|put] {text}
    [add|append] [a|another|one more|a new] line to {file} [saying|that says|with|with the text|containing] {text}
    [add|append] [a|another|one more] line [saying|that says|with] {text} to {file}
""")
ADD_BLOCK = templates("""
    [append|add] [this|the following|these lines|this code] to {old}{file}
    [append|add|put] [this|these lines|the following] [to|at] the end of {file}
    append to {file}
    extend {file} with these lines
""")
PREPEND = templates("""
    3* [add|insert|put|write] [||the line |the text ]{text} [at the top of|to the top of|at the beginning of|at the start of|to the beginning of|to the start of|as the first line of|as first line of] {old}{file}
    2* prepend [||the line |the text ]{text} to {old}{file}
    [at the top of|at the beginning of] {file}, [add|insert|put] {text}
""")
LINE = templates("""
    3* [change|set|update|edit] line {n} [of|in] {old}{file} to {text}
    2* replace line {n} [of|in] {old}{file} [with|by] {text}
    [change|replace] line {n} in {file} [with|to] {text}
    in {old}{file}[,|] [change|set] line {n} to {text}
    in {old}{file}[,|] replace line {n} with {text}
    [make|let] line {n} of {file} [say|read] {text}
    line {n} of {file} should [be|say|read] {text}
    [edit|open] {file} and [change|set] line {n} to {text}
    overwrite line {n} of {file} with {text}
""")
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
ORDINAL = templates("""
    [change|set] the {n} line [of|in] {old}{file} to {text}
    replace the {n} line [of|in] {old}{file} with {text}
    in {file}[,|] change the {n} line to {text}
""")


def replace(source: Source, *, closed: bool = False) -> Request:
    old = code_line(source) if source.chance(0.12) else short(source)
    new = (
        altered(source, old)
        if source.chance(0.35)
        else code_line(source)
        if source.chance(0.1)
        else short(source)
    )
    everywhere, path = source.chance(0.2), source.path()
    goal = do(
        "Edit", path=path, old_string=old, new_string=new, replace_all=True if everywhere else None
    )
    bare = not closed and is_plain(old) and is_plain(new) and source.chance(0.55)
    shown = (old, new) if bare else _same_marks(source, old, new)
    if shown is None or old == new or old != old.strip() or new != new.strip() or not (old and new):
        return replace(source, closed=closed)
    slots = {
        **SLOTS,
        "file": marked_path(source, path),
        "a": shown[0],
        "b": shown[1],
        "thing": _thing(source),
    }
    options = (
        REPLACE_ALL if everywhere else REPLACE if bare or source.chance(0.6) else REPLACE_QUOTED
    )
    return _request(source, options, slots, goal)


def _thing(source: Source) -> str:
    return source.word() if source.chance(0.7) else f"{source.word()} {source.word()}"


def _same_marks(source: Source, old: str, new: str) -> tuple[str, str] | None:
    marks = [mark for mark in "\"\"''`" if mark not in old + new]
    if not marks or "\n" in old + new:
        return None
    mark = source.pick(marks)
    return mark + old + mark, mark + new + mark


def remove(source: Source, *, closed: bool = False) -> Request:
    old, path, everywhere = short(source), source.path(), source.chance(0.15)
    bare = not closed and is_plain(old) and " " not in old and "." not in old and source.chance(0.4)
    shown = old if bare else quoted(source, old)
    if shown is None or old != old.strip():
        return remove(source, closed=closed)
    goal = do(
        "Edit", path=path, old_string=old, new_string="", replace_all=True if everywhere else None
    )
    slots = {**SLOTS, "file": marked_path(source, path), "a": shown}
    return _request(source, REMOVE_ALL if everywhere else REMOVE, slots, goal)


def add(source: Source, *, closed: bool = False) -> Request:
    path = source.path()
    text = (
        (code(source) if source.chance(0.5) else lines(source))
        if source.chance(0.12)
        else content(source)
    )
    text = text.strip()
    slots = {**SLOTS, "file": marked_path(source, path)}
    if "\n" in text:
        return (
            add(source, closed=closed)
            if closed or "```" in text
            else _add_block(source, path, text, slots)
        )
    if source.chance(0.2):
        return _prepend(source, path, text, slots, closed) or add(source, closed=closed)
    return _add_line(source, path, text, slots, closed) or add(source, closed=closed)


def _add_line(
    source: Source, path: str, text: str, slots: dict[str, object], closed: bool
) -> Request | None:
    goal = AddText(path, text, "end")
    if closed or source.chance(0.6):
        mark = quoted(source, text)
        options = ADD if source.chance(0.6) else ADD_QUOTED
        return _request(source, options, {**slots, "text": mark}, goal) if mark else None
    if is_plain(text) and source.chance(0.5):
        return _request(source, ADD, {**slots, "text": text}, goal)
    if is_quoted(text) or text.endswith("."):
        return None
    said, template = fill(
        source, ADD_LAST if source.chance(0.5) else ADD_QUOTED, {**slots, "text": text}
    )
    if not said.endswith(text):
        return None
    return Request(said, (goal,), closed=False, opens_with_value=template.opens_with_slot)


def _add_block(source: Source, path: str, text: str, slots: dict[str, object]) -> Request:
    head, _ = fill(source, ADD_BLOCK, slots)
    goal = AddText(path, text, "end")
    if source.chance(0.4):
        return Request(f"{head}:\n```\n{text}\n```", (goal,))
    return Request(f"{head}:\n{text}", (goal,), closed=False)


def _prepend(
    source: Source, path: str, text: str, slots: dict[str, object], closed: bool
) -> Request | None:
    bare = not closed and is_plain(text) and source.chance(0.4)
    shown = text if bare else quoted(source, text)
    goal = AddText(path, text, "start")
    return _request(source, PREPEND, {**slots, "text": shown}, goal) if shown else None


def change_line(source: Source, *, closed: bool = False) -> Request:
    path, text = source.path(), short(source)
    bare = not closed and not is_quoted(text) and text[-1] != "." and source.chance(0.5)
    shown = text if bare else quoted(source, text)
    if shown is None or text != text.strip():
        return change_line(source, closed=closed)
    ordinal = source.chance(0.15)
    number = source.between(1, 5) if ordinal else source.between(1, source.pick((9, 50, 200)))
    said_number = _ORDINALS[number - 1] if ordinal else str(number)
    slots = {**SLOTS, "file": marked_path(source, path), "text": shown, "n": said_number}
    made = _request(source, ORDINAL if ordinal else LINE, slots, ChangeLine(path, number, text))
    return Request(
        made.text,
        made.goals,
        closed=not bare or is_plain(text),
        opens_with_value=made.opens_with_value,
    )


def _request(source: Source, options: tuple, slots: dict[str, object], goal: Goal) -> Request:
    said, template = fill(source, options, slots)
    return Request(said, (goal,), opens_with_value=template.opens_with_slot)
