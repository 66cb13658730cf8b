"""Joins requests into tasks of several steps and dresses them as people speak."""

from training.tiny_agent.phrasings import editing, following, looking, running, writing
from training.tiny_agent.requests import AddText, ChangeLine, Do, Request
from training.tiny_agent.source import Source

KINDS = {
    "write": (writing.write, 23),
    "replace": (editing.replace, 12),
    "add": (editing.add, 11),
    "change_line": (editing.change_line, 4),
    "remove": (editing.remove, 4),
    "read": (looking.read, 12),
    "ls": (looking.ls, 6),
    "grep": (looking.grep, 9),
    "find": (looking.find, 7),
    "run": (running.run, 10),
    "run_file": (running.run_file, 3),
    "manage": (running.manage, 10),
}
_PREFIXES = (
    (
        "please ",
        "please ",
        "pls ",
        "now ",
        "ok, ",
        "okay, ",
        "next, ",
        "then ",
        "just ",
        "go ahead and ",
        "also ",
        "and ",
        "now ",
    ),
    (
        "can you ",
        "could you ",
        "can you please ",
        "could you please ",
        "would you ",
        "will you ",
        "would you please ",
    ),
    (
        "i want you to ",
        "i need you to ",
        "i would like you to ",
        "i'd like you to ",
        "you should ",
        "let's ",
    ),
    ("hey, ", "hi, ", "hello, ", "hi! ", "hello! ", "hi there, ", "hey, can you ", "hi, please "),
)
_SUFFIXES = (
    ".",
    ".",
    ".",
    ".",
    ".",
    "!",
    " please",
    " now",
    ", please",
    " please.",
    " for me",
    ". Thanks!",
    ", thanks",
    " thanks!",
    ". Thank you.",
    ", thank you",
    " if you can",
    " right now",
    " for me please",
    " :)",
    ", ok?",
)
_OPENINGS = (
    "Next task: ",
    "Task: ",
    "One more thing: ",
    "So, ",
    "Alright, ",
    "Good. ",
    "Great! ",
    "Okay. ",
    "Thanks. ",
)
_JOINTS = (
    " and then ",
    " and then ",
    ", then ",
    " then ",
    " and ",
    "; then ",
    ". Then ",
    ". After that, ",
    ", and then ",
)
_LAST_JOINTS = (" and finally ", ", and ", ". Finally, ", ", finally ", ", and finally ")
_PAIRS = (writing.write_pair, looking.read_pair, running.run_pair)
_INTERJECTIONS = (
    "what",
    "how",
    "which",
    "where",
    "who",
    "is ",
    "are ",
    "do ",
    "does ",
    "in which",
    "may i",
    "can i",
    "i ",
    "i'",
    "there ",
    "let ",
    "let's ",
    "we ",
    "give me",
    "command:",
)


def ask(source: Source, kind: str | None = None, *, closed: bool = False) -> Request:
    if kind is None:
        kind = source.random.choices(
            tuple(KINDS), weights=[weight for _, weight in KINDS.values()]
        )[0]
    return KINDS[kind][0](source, closed=closed)


def single(source: Source, kind: str | None = None) -> Request:
    return dressed(source, ask(source, kind))


def several(source: Source, steps: int) -> Request:
    if steps == 2 and source.chance(0.15):
        pair = source.pick(_PAIRS)(source)
        return dressed(source, pair) if pair else several(source, steps)
    parts = [_joinable(source)]
    while len(parts) < steps:
        path = path_of(parts[-1])
        last = len(parts) == steps - 1
        linked = path is not None and source.chance(0.5)
        part = following.follow(source, path) if linked and path else _joinable(source, last=last)
        if part.goals != parts[-1].goals:
            parts.append(part)
    numbered = source.chance(0.06)
    text = _numbered(source, parts) if numbered else _chained(source, parts)
    goals = tuple(goal for part in parts for goal in part.goals)
    whole = Request(text, goals, parts[-1].closed, parts[0].opens_with_value or text[0].isdigit())
    return whole if numbered else dressed(source, whole)


def _joinable(source: Source, *, last: bool = False) -> Request:
    """The last step may end in any way; more words follow those before it."""
    while True:
        part = ask(source, closed=source.chance(0.6))
        open_end = part.closed and not part.text.endswith((".", "?", "```", "EOF"))
        if (last or open_end) and ("\n" not in part.text or source.chance(0.3)):
            return part


def path_of(request: Request) -> str | None:
    match request.goals[-1]:
        case Do(call) if call.name in ("Read", "Write", "Edit"):
            return str(call.arguments["path"])
        case AddText(path=path) | ChangeLine(path=path):
            return path
        case _:
            return None


def _chained(source: Source, parts: list[Request]) -> str:
    text = (
        source.pick(("first ", "first, ")) + parts[0].text if source.chance(0.08) else parts[0].text
    )
    for i, part in enumerate(parts[1:], 2):
        joint = source.pick(_JOINTS)
        if i == len(parts) > 2:
            joint = source.pick((joint, *_LAST_JOINTS))
        elif len(parts) > 2 and source.chance(0.4):
            joint = source.pick((", ", "; ", ". "))
        if "\n" in text.rsplit("```", 1)[0] or text.endswith("```"):
            joint = source.pick(("\nThen ", "\nand then ", "\nAfter that, "))
        text += joint + part.text
    return text


def _numbered(source: Source, parts: list[Request]) -> str:
    head = source.pick(("", "", "Do this:\n", "Please do the following:\n", "Steps:\n"))
    mark = source.pick(".)")
    return head + "\n".join(f"{i}{mark} {part.text}" for i, part in enumerate(parts, 1))


def dressed(source: Source, request: Request) -> Request:
    text, wish = request.text, request.text.lower().startswith(_INTERJECTIONS)
    dice, prefix = source.random.random(), ""
    if not wish and dice < 0.33:
        prefix = source.pick(
            _PREFIXES[0 if dice < 0.13 else 1 if dice < 0.23 else 2 if dice < 0.29 else 3]
        )
    if not prefix and not request.opens_with_value and source.chance(0.05):
        text = _mistyped(source, text)
    text = prefix + text
    if (prefix or not request.opens_with_value) and source.chance(0.6):
        text = text[0].upper() + text[1:]
    if request.closed and not text.endswith(("?", ".", "```", "EOF")) and source.chance(0.35):
        asked = prefix.startswith(("can", "could", "would", "will")) and source.chance(0.6)
        text += "?" if asked else source.pick(_SUFFIXES)
    if source.chance(0.03):
        text = source.pick(_OPENINGS) + text
    return Request(text, request.goals, request.closed)


def _mistyped(source: Source, text: str) -> str:
    """A slip in the first word, or that word in capitals."""
    first, blank, rest = text.partition(" ")
    if len(first) < 4 or not first.isalpha():
        return text
    at = source.between(1, len(first) - 2)
    slips = (
        source.misspelt(first),
        first[:at] + first[at + 1 :],
        first[:at] + first[at + 1] + first[at] + first[at + 2 :],
        first.upper(),
    )
    return source.pick(slips) + blank + rest
