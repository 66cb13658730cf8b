"""Requests that only look: read a file, list a folder, find files, search in them."""

# ruff: noqa: E501 -- one template a line

from training.tiny_agent.grammar import Template, templates
from training.tiny_agent.phrasings.nouns import SLOTS
from training.tiny_agent.requests import Do, Request, do, fill, is_plain, marked_path, quoted
from training.tiny_agent.source import Source
from training.tiny_agent.values import short
from training.tiny_agent.words import LANGUAGES

READ = templates("""
    12* [read|read|read|show|show me|open|display|print|cat|view|look at|give me|load|check|print out|read me|read out|let me see|let me read|i want to see|i want to read|i need to see|take a look at|have a look at|output|get|inspect|dump|i would like to read|open up|let us see|fetch|i'd like to see] [||||the contents of |the content of |the text of |the text in |the contents of the file |everything in |all of |what is in |what's inside ]{old}{file}
    2* what is in {old}{file}[?|?|]
    2* what's [in|inside] {old}{file}[?|?|]
    2* what does {old}{file} [say|contain][?|?|]
    what is [inside|written in|the content of|the text in] {file}[?|?|]
    what are the [contents|lines] of {file}[?|?|]
    what's the content of {file}[?|?|]
    what [text|content] does {file} have[?|?|]
    tell me what [is in {file}|{file} says|{file} contains|is written in {file}]
    [check|see|find out] what {file} [says|contains]
    [can|may] i [see|read] {file}[?|?|]
    what [do we have|do i have|have we got|did i write] in {old}{file}[?|?|]
    [how does {file} look|what does {file} look like][?|?|]
    [print|show|read] {file} [for|to] me
    open {file} and [show it to me|tell me what it says]
    read {file} and tell me what [it says|is in it|it contains]
    show me [all of|the whole file|the full text of] {file}
""")
PART = templates("""
    4* [read|show|show me|print|display|give me|view|get|let me see] lines {a} [to|through|-|until] {b} [of|in|from] {old}{file}
    [read|show|show me|print] lines {a}-{b} [of|in|from] {old}{file}
    [read|show|show me|print|display] {file} from line {a} to [line |]{b}
    [read|show] {file}[,|] lines {a} to {b}
    what is [on|in] lines {a} to {b} of {file}[?|]
    what do lines {a} to {b} of {file} say[?|]
""")
ONE_LINE = templates("""
    3* [read|show|show me|print|display|give me] line {a} [of|in|from] {old}{file}
    what is [on|in] line {a} of {file}[?|]
    what does line {a} of {file} say[?|]
""")
HEAD = templates("""
    3* [read|show|show me|print|display|give me] the first {n} lines [of|in|from] {old}{file}
    what are the first {n} lines of {file}[?|]
    [read|show] only the first {n} lines of {file}
    [read|show] {n} lines of {file}
""")
FROM_LINE = templates("""
    2* [read|show|show me|print] {old}{file} [from|starting at|starting from|from] line {a}[| on| onwards]
    [read|continue reading] {file} from line {a}
    show me everything [from|after and including] line {a} [of|in] {file}
""")
FROM_COUNT = templates("""
    [read|show me|print|show] {n} lines [of|from] {file} [starting at|starting from|from] line {a}
""")
FIRST_LINE = templates("""
    [read|show me|print|show] the first line of {old}{file}
    what is the first line of {file}[?|]
""")
LIST_HERE = templates("""
    4* list [|the |all |all the |my |our ]files[| here| in this directory| in this folder| in the current directory| in the project| in the repository| in the repo| for me]
    2* [show|show me|display|print|get|see|give me|let me see] [|the |all |all the ]files[| here| in this directory| in this folder| in the current directory]
    ls
    dir
    [what|which] files [are here|are there|exist|do we have|do i have|are in this directory|are in this folder|are in the current directory|do we have here|are around][?|?|]
    what is [here|in this directory|in this folder|in the current directory|in the current folder|in the project folder|in here][?|?|]
    what's [here|in this directory|in this folder|in the current folder|in here][?|?|]
    what do [we|i] have [here|in this folder][?|?|]
    list [the directory|the current directory|this folder|this directory|everything|everything here|the current folder|the project files|what is here|the folder|the contents of this folder|the repository]
    [show|show me|print] [the directory|this directory|the folder|this folder|the directory listing|the file list|what is here|what files there are]
    [give me|i need|i want] [a list of|the list of|the names of] [|all |the ]files
    are there any files[| here][?|?|]
    tell me [which|what] files [are here|exist|we have]
    [directory|file] listing please
    i want to see the files
    look around
    [show me|list] the [repo|repository|project structure|project]
    what's in [the|this] [repo|repository|project][?|?|]
    [files|file names] in [this|the current] [directory|folder]
""")
LIST = templates("""
    4* list [|the |all |all the ]files in [|the folder |the directory |folder ]{folder}
    list [|the folder |the directory ]{folder}
    ls {folder}
    2* [show|show me|display|print|get|give me|let me see] [|the |all |all the ]files in [|the folder |the directory ]{folder}
    [what|which] files are in [|the folder |the directory ]{folder}[?|?|]
    [what|which] files does {folder} [have|contain][?|?|]
    what is in the [folder|directory] {folder}[?|?|]
    [what is|what's] [in|inside] the {folder} [folder|directory][?|?|]
    what's in [the folder |the directory ]{folder}[?|?|]
    what does the [folder {folder}|{folder} folder|directory {folder}|{folder} directory] contain[?|?|]
    list [|the |all |all the ]files in the {folder} [folder|directory]
    list [everything in|the contents of|what is in|what's in] [|the folder |the directory ]{folder}
    [show|show me] [everything|what is] in [the folder {folder}|the {folder} folder|the {folder} directory|{folder}/]
    [show|show me|open|let me see] the [folder {folder}|directory {folder}|{folder} folder|{folder} directory]
    [give me|i need] the [list|names] of [the |]files in {folder}
    tell me [which|what] files are in {folder}
    are there any files in {folder}[?|?|]
    [look into|look inside|go to] the [folder {folder}|{folder} folder][| and list the files]
    what do we have in the [folder {folder}|{folder} folder][?|?|]
    list the contents of the {folder} [folder|directory]
""")
SEARCH = templates("""
    8* [search for|search for|search|grep|grep for|look for|find|scan for|locate] [||||the word |the text |the string |the phrase |all uses of |occurrences of |every |all references to |all mentions of |all usages of |usages of |references to |mentions of |the definition of |lines with |all lines containing |any |all |all occurrences of |lines containing |the line ]{text}{where}
    [do a search for|try to find|check for|do a text search for|show me all lines with|list the lines containing|show every line with|show all uses of] {text}{where}
    find [where|out where|all the places where|every place where|all places where] {text} is [used|defined|called|mentioned]{where}
    [search|grep]: {text}
    find [files|all files|every file|all the files] [containing|with|that contain|that mention|that use|mentioning] {text}{where}
""")
SEARCH_HERE = templates("""
    2* where is {text}[| used| defined| mentioned| called][?|?|]
    2* [which|what] files [contain|use|have|mention] {text}[?|?|]
    which file [contains|mentions|has|uses] {text}[?|?|]
    where [do we use|do i have|can i find|does it say] {text}[?|?|]
    where does {text} appear[?|?|]
    in which [file|files] is {text}[| used][?|?|]
    is {text} [used anywhere|somewhere in the files|mentioned anywhere][?|?|]
    [does any file|do any files] [contain|mention|use] {text}[?|?|]
    is there [a file|any file] [with|that contains|containing] {text}[?|?|]
    [check|see] [if|whether] [any file contains|there is a file with] {text}
    who [uses|calls] {text}[?|?|]
    [search|look through|go through|grep] [the files|all files|the code|the project|everything|the whole project|the repository] for [|the word |the text ]{text}
    which lines contain {text}[?|?|]
    do we [have|use] {text} [anywhere|in the code][?|?|]
    does [anything|anyone|any code] use {text}[?|?|]
    [show me|list] every {text} in the [code|project|repo]
""")
SEARCH_FOLDER_FIRST = templates("""
    in {folder}[,|] [search for|find|look for|grep for] {text}
    [search|look in|look through|scan|grep|search in|search the folder|search the file] {folder} for [|the word |the text ]{text}
    search the {folder} [folder|directory] for {text}
    which files in {folder} [contain|mention|use] {text}[?|?|]
    where in {folder} is {text}[| used][?|?|]
""")
SEARCH_GLOB = templates("""
    3* [search for|grep for|look for|find|grep|search] [||the word |the text ]{text} in [|all |all the ]{files}
    [search|look through|go through|grep] [|all |all the ]{files} for [|the word |the text ]{text}
    which {files} [contain|mention|use|have] {text}[?|?|]
    in [|all |all the ]{files}[,|] [search for|find|look for] {text}
""")
_WHERE = templates("""
    [| in the files| in all files| in this project| in the code| here| everywhere| in the project| in the repository| in the whole project| in the codebase| in our code]
""")
FIND_KIND = templates("""
    3* [find|list|show|show me|search for|look for|get|give me|locate] [all |all the |every |the |]{files}{where}
    [which|what] {files} [are there|do we have|exist|are here][?|?|]
    [where are|are there any|do we have|do we have any] [the |]{files}[?|?|]
    [list|find|show me] every [one of the |]{files}{where}
""")
FIND_PATTERN = templates("""
    2* [find|list|show me] [|all |all the ]files [matching|that match|named|like|with the pattern|called] {pattern}{where}
    find {pattern}{where}
    find [everything|all] [matching|named] {pattern}{where}
""")
FIND_NAMED = templates("""
    3* [find|locate|look for|search for] the file [|called |named ]{pattern}{where}
    2* where is [|the file ]{pattern}[?|?|]
    [find|locate] {pattern}{where}
    find [a file|files|the file] [called|named] {pattern}{where}
    is there a file [called|named] {pattern}[?|?|]
    do we have a file [called|named] {pattern}[?|?|]
    in which folder is {pattern}[?|?|]
    where's [|the file ]{pattern}[?|?|]
    where [did i put|can i find] {pattern}[?|?|]
""")
FIND_PART = templates("""
    [find|list|show me] [|all |all the ]files [whose name contains|with a name containing|whose names contain|that have in their name] {text}
    [find|list|show me] [|all |all the ]files with {text} in [the|their] name
    which files have {text} in [the|their] name[?|?|]
""")


def read(source: Source, *, closed: bool = False) -> Request:
    path = source.path()
    slots = {**SLOTS, "file": marked_path(source, path)}
    if source.chance(0.33):
        return _read_part(source, path, slots)
    return _request(source, READ, slots, do("Read", path=path))


def _read_part(source: Source, path: str, slots: dict[str, object]) -> Request:
    first, count = line_range(source)
    numbers = {**slots, "a": str(first), "b": str(first + count - 1), "n": str(count)}
    options, offset, limit = source.pick(
        (
            (PART, first, count), (PART, first, count), (PART, first, count), (ONE_LINE, first, 1),
            (HEAD, None, count), (HEAD, None, count), (FROM_LINE, first, None), (FROM_COUNT, first, count),
            (FIRST_LINE, None, 1),
        )
    )  # fmt: skip
    return _request(source, options, numbers, do("Read", path=path, offset=offset, limit=limit))


def line_range(source: Source) -> tuple[int, int]:
    """A first line and a count, small as people ask for them."""
    first = source.between(1, source.pick((9, 30, 60, 99, 200)))
    if source.chance(0.15):
        return source.pick((1, 10, 20, 50, 100)), source.pick(
            (10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 100, 101)
        )
    return first, source.between(2, 20)


def ls(source: Source, *, closed: bool = False) -> Request:
    if source.chance(0.45):
        return _request(source, LIST_HERE, SLOTS, do("Ls"))
    folder = source.folder()
    said, template = fill(source, LIST, {**SLOTS, "folder": marked_path(source, folder)})
    if f"{folder}/" in said:
        folder += "/"
    elif source.chance(0.1) and said.count(folder) == 1:
        said, folder = said.replace(folder, f"{folder}/"), f"{folder}/"
    return Request(said, (do("Ls", path=folder),), opens_with_value=template.opens_with_slot)


def grep(source: Source, *, closed: bool = False) -> Request:
    text = source.pick((source.word, source.word, source.identifier, lambda: short(source)))()
    bare = not closed and is_plain(text) and "." not in text and source.chance(0.6)
    shown = text if bare else quoted(source, text)
    if shown is None or text != text.strip():
        return grep(source, closed=closed)
    slots = {**SLOTS, "text": shown, "where": fill(source, _WHERE, SLOTS)[0]}
    dice = source.random.random()
    if dice < 0.15:
        kind, glob = _file_kind(source)
        return _request(
            source, SEARCH_GLOB, {**slots, "files": kind}, do("Grep", pattern=text, glob=glob)
        )
    if dice < 0.6:
        return _request(
            source, SEARCH if source.chance(0.6) else SEARCH_HERE, slots, do("Grep", pattern=text)
        )
    place = source.folder() if source.chance(0.75) else source.file_name()
    marked = marked_path(source, place)
    goal = do("Grep", pattern=text, path=place)
    if source.chance(0.4):
        return _request(source, SEARCH_FOLDER_FIRST, {**slots, "folder": marked}, goal)
    where = source.pick(
        (
            " in {}",
            " in {}",
            " in {}",
            " in the folder {}",
            " inside {}",
            " under {}",
            " in the {} folder",
        )
    )
    said, template = fill(source, SEARCH, {**slots, "where": where.format(marked)})
    if "where" not in template.slot_names():
        goal = do("Grep", pattern=text)
    return Request(said, (goal,), opens_with_value=template.opens_with_slot)


def _file_kind(source: Source) -> tuple[str, str]:
    if source.chance(0.5):
        language = source.pick(tuple(LANGUAGES))
        spoken = language if source.chance(0.6) else language.capitalize()
        return f"{spoken} files", f"*.{LANGUAGES[language]}"
    extension = source.extension()
    spoken = source.pick(
        ("*.{0} files", ".{0} files", "{0} files", "`*.{0}` files", ".{0} files", "*.{0}")
    )
    return spoken.format(extension), f"*.{extension}"


def find(source: Source, *, closed: bool = False) -> Request:
    place = source.folder() if source.chance(0.3) else None
    spoken_place = source.pick(
        (" in {}", " in the folder {}", " under {}", " inside {}", " in the {} folder")
    )
    where = (
        spoken_place.format(marked_path(source, place))
        if place
        else source.pick(("", "", "", " in the project"))
    )
    slots = {**SLOTS, "where": where}
    dice = source.random.random()
    if dice < 0.35:
        return _find_kind(source, slots, place)
    if dice < 0.55:
        return _find_pattern(source, slots, place)
    if dice < 0.87:
        name = source.stem() + "." + source.extension()
        slots["pattern"] = marked_path(source, name)
        return _placed(source, FIND_NAMED, slots, name, place)
    part = source.word()
    shown = part if source.chance(0.5) and not closed else quoted(source, part)
    return _placed(source, FIND_PART, {**slots, "text": shown or part}, f"*{part}*", place)


def _find_kind(source: Source, slots: dict[str, object], place: str | None) -> Request:
    kind, glob = _file_kind(source)
    if (kind.startswith("*") and " " not in kind) or source.chance(0.15):
        ending = source.pick(
            ("files ending in .{}", "files with the extension .{}", "files that end with .{}")
        )
        kind = ending.format(glob[2:])
    return _placed(source, FIND_KIND, {**slots, "files": kind}, glob, place)


def _find_pattern(source: Source, slots: dict[str, object], place: str | None) -> Request:
    shapes = ("*.{e}", "{w}*", "*{w}*", "{w}_*.{e}", "{w}*.{e}", "**/*.{e}", "*_{w}.{e}")
    pattern = source.pick(shapes).format(e=source.extension(), w=source.word())
    return _placed(
        source, FIND_PATTERN, {**slots, "pattern": marked_path(source, pattern)}, pattern, place
    )


def _placed(
    source: Source,
    options: tuple[Template, ...],
    slots: dict[str, object],
    pattern: str,
    place: str | None,
) -> Request:
    said, template = fill(source, options, slots)
    kept = place if "where" in template.slot_names() else None
    return Request(
        said, (do("Find", pattern=pattern, path=kept),), opens_with_value=template.opens_with_slot
    )


def read_pair(source: Source) -> Request | None:
    first, second = source.path(), source.path()
    slots = {**SLOTS, "file": marked_path(source, first), "other": marked_path(source, second)}
    said, _ = fill(source, READ_PAIRS, slots)
    return (
        Request(said, (do("Read", path=first), do("Read", path=second)))
        if first != second
        else None
    )


READ_PAIRS = templates("""
    [read|show|show me|open|print|display|cat|look at] [||the files |both ]{file} and {other}
    [read|show|show me|open|print] {file}[ and then |, then ]{other}
""")


def _request(
    source: Source, options: tuple[Template, ...], slots: dict[str, object], goal: Do
) -> Request:
    said, template = fill(source, options, slots)
    return Request(said, (goal,), opens_with_value=template.opens_with_slot)
