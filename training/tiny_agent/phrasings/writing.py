"""Requests for a new file, or for a file's whole text."""

# ruff: noqa: E501 -- one template a line

from training.tiny_agent.grammar import Template, templates
from training.tiny_agent.phrasings.nouns import SLOTS
from training.tiny_agent.requests import Request, do, fill, is_plain, is_quoted, marked_path, quoted
from training.tiny_agent.source import Source
from training.tiny_agent.values import content, short

_MAKE = (
    "[create|create|create|create|make|make|write|add|generate|start|set up|produce|make me|create me|write me|build"
    "|prepare|save]"
)
_HOLDING = (
    "[containing|containing|with the text|with the content|with content|with text|that contains|which contains"
    "|that says|saying|with|with|with the line|whose content is|with the words|with the contents|holding"
    "|and put in it|and write|having the text|including|with exactly|that reads|with the code|with this text"
    "|with this content|and fill it with|that has|with a line|with the sentence|with one line|that just says"
    "|with only|with a single line|that consists of|that holds|with the following text|with the following|with just"
    "|and put into it|with this line|with this in it|with the string|which says|that only contains"
    "|containing the text|containing the line|containing the words|containing just|containing only|with a line saying"
    "|with the following content|with the word|that says just|and write into it|contents|content|reading]"
)
TEXT_LAST = templates(f"""
    14* {_MAKE} {{new}}{{file}} {_HOLDING} {{text}}
    6* {_MAKE} {{new}}{{file}} {_HOLDING}: {{text}}
    create {{new}}{{file}}: {{text}}
    new file {{file}}: {{text}}
    {{file}}: {{text}}
    write {{file}}: {{text}}
    [file|path|name]: {{file}}[, |; | |⏎][content|text|contents]: {{text}}
    {_MAKE} a file. name: {{file}}, content: {{text}}
    {_MAKE} a file, call it {{file}}, with the text {{text}}
    {_MAKE} {{new}}{{file}}. its [content|text] [is|should be|must be|shall be] {{text}}
    {_MAKE} {{new}}{{file}}. it should [contain|say|hold|read] {{text}}
    {_MAKE} {{new}}{{file}} and [write|put|save] {{text}} [into|in|to|inside] it
    {_MAKE} {{new}}{{file}} with {{text}} [in it|as content|inside|as its content|as the content|as text]
    {{file}} should [contain|say|read|hold] {{text}}
    {_MAKE} [a file|a new file|the file], {{file}}, {_HOLDING} {{text}}
    [i need|i want] {{file}} to [contain|say] {{text}}
    {{file}} [needs to|must|has to|is supposed to] [contain|say] {{text}}
    [can you |could you |]make {{file}}? it should [say|contain] {{text}}
    {_MAKE} {{new}}{{file}}. it should contain: {{text}}
    call it {{file}} [with|containing|with the text] {{text}}
    the file {{file}} [should|must|has to] [contain|say] {{text}}
    [let|have|make] {{file}} [contain|say] {{text}}
    [fill|overwrite] {{old}}{{file}} with {{text}}
    replace [everything in|the whole content of|the contents of|the content of|the whole text of] {{file}} with {{text}}
    [set|change] the [content|contents|text] of {{file}} to {{text}}
    {{file}} with the text {{text}}
    in a [new |]file [called|named] {{file}}, [write|put] {{text}}
    [in|into|to] {{file}}[|,] [write|put|save] {{text}}
    [i need|i want|i'd like|give me|i would like|we need] {{new}}{{file}} {_HOLDING} {{text}}
    there should be a file {{file}} [saying|containing|with the text] {{text}}
""")
_VERB = (
    "[write|write|write|put|put|save|save|store|place|dump|output|note down|write down|add]"
    "[|||| the text| the line| the words| the sentence| the string| the code| the word| this text| the following| this]"
)
_TO = "[to|to|into|in|in|inside] [|||the file |a file |a new file |a file called |a file named |a new file called |the new file ]"
TEXT_FIRST = templates(f"""
    9* {_VERB} {{text}} {_TO}{{file}}
    4* [save|store|write|keep] {{text}} as [|||the file |a file called ]{{file}}
    i want {{text}} [in|written to|saved in|saved to] {{old}}{{file}}
    i need {{text}} saved [as|in] {{file}}
    {{text}} should be in {{file}}
    {{text}} [goes|belongs] into {{file}}
    create [a|the] [new |]file [with|containing] {{text}} [and call it|called|named|and name it] {{file}}
    make {{file}} out of {{text}}
""")
BLOCK_HEADS = templates(f"""
    3* create {{new}}{{file}} with this content
    2* {_MAKE} {{new}}{{file}} with the following [content|contents|text|code|lines]
    2* {_MAKE} {{new}}{{file}} [containing|with|with this|with this text|with this code|with these lines|that contains]
    {_MAKE} {{new}}{{file}}
    {_MAKE} {{new}}{{file}} with this in it
    [write|save|store|put|dump] [this|the following|this code|this text|these lines|the following code] [to|into|in] {{old}}{{file}}
    save [this|the following|the following code|these lines] as {{file}}
    [new file|write|file] {{file}}
    [i need|i want|give me] {{new}}{{file}} with this [text|content|code]
    here is {{file}}, save it
    this is the new {{file}}
    the content of {{file}} should be
    {{file}} should [look like this|contain|be]
    please write {{file}} like this
    [fill|overwrite] {{file}} with this
    {{file}}
""")
BLOCK_FIRST = templates("""
    {block}⏎[save this as|write this to|put this into|save it as|write that into|store this in] {file}
    save this:⏎{block}⏎as {file}
    {block}⏎create {file} with this content
    here is some code:⏎{block}⏎[please |]save it as {file}
    write this:⏎{block}⏎to {file}
""")
EMPTY = templates(f"""
    2* {_MAKE} an empty file [|called |named ]{{file}}
    {_MAKE} {{file}} as an empty file
    {_MAKE} {{new}}{{file}} with no content
    {_MAKE} {{new}}{{file}}[, empty| and leave it empty|, leave it empty| with nothing in it]
    [i need|i want] an empty file [called |]{{file}}
""")
IN_FOLDER = templates(f"""
    {_MAKE} {{new}}{{file}} in [|the folder |the directory ]{{folder}} {_HOLDING} {{text}}
    {_MAKE} {{new}}{{file}} in the {{folder}} [folder|directory] {_HOLDING} {{text}}
    in the [folder {{folder}}|{{folder}} folder|directory {{folder}}][,|] {_MAKE} {{new}}{{file}} {_HOLDING} {{text}}
    [write|save|put] {{text}} [to|into|in] {{file}} in the [{{folder}} folder|folder {{folder}}|directory {{folder}}]
""")
PRINTING = templates(f"""
    4* {_MAKE} {{new}}{{file}} [that|which] [prints|prints|prints out|outputs] {{text}}
    {_MAKE} {{new}}{{file}} to print {{text}}
    {_MAKE} {{new}}{{file}} printing {{text}}
    {_MAKE} {{new}}{{file}}[, it should| that should|. it should] print {{text}}
    {_MAKE} {{new}}{{file}} that [just|only|simply] prints {{text}}
    [create|make|write] a [script|program|small script|file] that prints {{text}} [and call it|and save it as|and name it|called|named|as] {{file}}
""")
EXPLAINED = templates(f"""
    {_MAKE} {{new}}{{file}} [that|which] [prints {{word}}|{{verb}}s {{word}}|{{verb}}s the {{word}}|{{verb}}s all {{word}}s][:| with the code:|, with this code:| with this content:] {{text}}
""")
_PRINT = {"py": 'print("{}")', "js": 'console.log("{}")', "sh": 'echo "{}"'}
_FENCES = ("", "", "", "python", "sh", "js", "text", "json", "html", "py", "yaml", "markdown")


def write(source: Source, *, closed: bool = False) -> Request:
    dice = source.random.random()
    if dice < 0.03:
        return _empty(source)
    if dice < 0.1:
        return printing(source, closed=closed) or write(source, closed=closed)
    text = content(source)
    if text != text.strip():
        text = text.strip()
    if not text:
        return _empty(source)
    if "\n" in text or source.chance(0.06):
        return (
            write(source, closed=True)
            if closed and source.chance(0.6)
            else _block(source, text, closed)
        )
    if source.chance(0.05):
        return _in_folder(source, text) or write(source, closed=closed)
    return _line(source, text, closed) or write(source, closed=closed)


def _in_folder(source: Source, text: str) -> Request | None:
    folder, name = source.folder(), f"{source.stem()}.{source.extension()}"
    shown = text if is_plain(text) and source.chance(0.4) else quoted(source, text)
    if shown is None:
        return None
    slots = {
        **SLOTS,
        "file": marked_path(source, name),
        "folder": marked_path(source, folder),
        "text": shown,
    }
    said, _ = fill(source, IN_FOLDER, slots)
    return Request(said, (do("Write", path=f"{folder}/{name}", content=text),))


def _empty(source: Source) -> Request:
    path = source.path()
    text, template = fill(source, EMPTY, {**SLOTS, "file": marked_path(source, path)})
    return Request(
        text, (do("Write", path=path, content=""),), opens_with_value=template.opens_with_slot
    )


def _line(source: Source, text: str, closed: bool) -> Request | None:
    path = source.path()
    slots = {**SLOTS, "file": marked_path(source, path)}
    if closed or source.chance(0.5):
        mark = quoted(source, text)
        if mark is None:
            return None
        options = (
            TEXT_FIRST if source.chance(0.3) else EXPLAINED if source.chance(0.04) else TEXT_LAST
        )
        said, template = fill(source, options, {**slots, "text": mark})
        return Request(
            said, (do("Write", path=path, content=text),), opens_with_value=template.opens_with_slot
        )
    return _bare_line(source, text, path, slots)


def _bare_line(source: Source, text: str, path: str, slots: dict[str, object]) -> Request | None:
    if is_quoted(text):
        return None
    middle = is_plain(text) and source.chance(0.4)
    options = TEXT_FIRST if middle else EXPLAINED if source.chance(0.03) else TEXT_LAST
    said, template = fill(source, options, {**slots, "text": text})
    inside = not said.endswith(text)
    if inside and not is_plain(text):
        return None
    opens = template.opens_with_slot
    if inside:
        return Request(said, (do("Write", path=path, content=text),), opens_with_value=opens)
    said, text = _full_stop(source, said, text)
    goal = do("Write", path=path, content=text)
    return Request(said, (goal,), closed=False, opens_with_value=opens) if text else None


def _full_stop(source: Source, said: str, text: str) -> tuple[str, str]:
    """After a colon the text is literal; otherwise one final full stop ends the request, not the text."""
    literal = said[: -len(text)].rstrip().endswith(":")
    if literal or text.endswith(".."):
        return said, text
    if text.endswith("."):
        return said, text[:-1]
    return (said + "." if text[-1].isalnum() and source.chance(0.2) else said), text


def printing(source: Source, *, closed: bool = False) -> Request | None:
    """The one kind of program the model writes by itself: one that prints a given text."""
    extension = source.pick(("py", "py", "py", "js", "sh"))
    path, text = f"{source.stem()}.{extension}", short(source)
    if source.chance(0.2):
        path = f"{source.folder()}/{path}"
    if set(text) & set('"\\$`{}') or text.endswith(".") or text != text.strip():
        return None
    mark = (
        text
        if not is_quoted(text) and (is_plain(text) or not closed) and source.chance(0.5)
        else None
    )
    shown = mark or quoted(source, text)
    if shown is None:
        return None
    said, template = fill(
        source, PRINTING, {**SLOTS, "file": marked_path(source, path), "text": shown}
    )
    goal = do("Write", path=path, content=_PRINT[extension].format(text))
    return Request(
        said,
        (goal,),
        closed=mark is None or is_plain(text),
        opens_with_value=template.opens_with_slot,
    )


def _block(source: Source, text: str, closed: bool) -> Request:
    path = source.path()
    slots = {**SLOTS, "file": marked_path(source, path)}
    goal = (do("Write", path=path, content=text),)
    if "```" in text:
        closed = False
    fenced = "```" not in text and (closed or source.chance(0.45))
    fence = f"```{source.pick(_FENCES)}\n{text}\n```"
    if fenced and not closed and source.chance(0.2):
        said, template = fill(source, BLOCK_FIRST, {**slots, "block": fence})
        return Request(said, goal, opens_with_value=template.opens_with_slot)
    head, template = fill(source, BLOCK_HEADS, slots)
    opens = template.opens_with_slot
    if fenced:
        return Request(
            head + source.pick((":\n", ":\n", ":\n\n", "\n")) + fence, goal, opens_with_value=opens
        )
    if source.chance(0.05):
        head, text_block = f"{head} <<EOF", f"{text}\nEOF"
        return Request(f"{head}\n{text_block}", goal, opens_with_value=opens)
    return Request(
        head + source.pick((":\n", ":\n", ":\n\n", ": ")) + text,
        goal,
        closed=False,
        opens_with_value=opens,
    )


def write_pair(source: Source) -> Request | None:
    """Two files in one breath."""
    first, second, one, two = source.path(), source.path(), short(source), short(source)
    if first == second or one == two or one != one.strip() or two != two.strip():
        return None
    bare = is_plain(one) and source.chance(0.5)
    left, right = (one if bare else quoted(source, one)), quoted(source, two)
    if bare and is_plain(two) and source.chance(0.7):
        right = two
    if left is None or right is None:
        return None
    slots = {
        **SLOTS,
        "file": marked_path(source, first),
        "other": marked_path(source, second),
        "a": left,
        "b": right,
    }
    said, _ = fill(source, PAIRS, slots)
    goals = (do("Write", path=first, content=one), do("Write", path=second, content=two))
    return Request(said, goals, closed=right != two or is_plain(two))


PAIRS: tuple[Template, ...] = templates("""
    3* create {file} with {a}[ and | and then |, then | then |, and then ]create {other} with {b}
    2* [create|make|write] [|two files, |two files: |the files ]{file} [with|containing] {a}[ and |, ]{other} [with|containing] {b}
    write {a} to {file}[ and | and then |, then ][|write ]{b} to {other}
    put {a} in {file}[ and | and then |, then ]put {b} in {other}
    [make|create] {file} saying {a}[ and | and then |, then ][|make |create ]{other} saying {b}
""")
