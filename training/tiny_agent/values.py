"""Strings that requests and files hold: phrases, sentences, code, shell commands."""

import json
import re
from collections.abc import Callable

from training.tiny_agent.grammar import expand, parse, parse_slots, templates
from training.tiny_agent.source import Source
from training.tiny_agent.words import ADJECTIVES, FILLERS, LETTERS, VERBS

_PUNCTUATION = LETTERS + LETTERS.upper() + "0123456789_-+*/=.,:;!?()[]{}<>@#$%^&|~`'\"\\"
_SENTENCES = templates("""
    the {adjective} {word} can {verb} a {word}
    {word} and {word} are {adjective}
    [we|you|they|i] {verb} the {word} [in|on|at|near|with|for|to|from] the {word}
    [remember to|do not|please|always|never] {verb} the {word}
    [buy|call|bring|send|ask] {word}[| and {word}|, {word} and {word}]
    {word} [is|was|are|were] [very |not |too |]{adjective}
    my {word} [likes|has|needs|wants] [a|the|two|no] {word}
""")
_SHORT = templates("""
    {identifier}[=| = |: |-|/|.][{word}|{number}]
    https://{word}.[com|org|io]/{word}
    {word}@{word}.com
    v{digit}.{digit}.{digit}
    20{digit}{digit}-0{digit}-1{digit}
    {number}%
    ${number}
    #{letters}
    1{digit}:3{digit}
    127.0.0.{digit}
    {word}:{number}
    {identifier}={letters}{number}
    {word}, {word}[, {word}|]
    {identifier}({identifier})
    {word}-{word}
""")
_CODE = tuple(
    parse_slots(text)
    for text in (
        "print({string})",
        "print({string})",
        "print({expression})",
        "def {identifier}({identifier}):\n{tab}return {expression}",
        "def {identifier}({identifier}, {identifier}):\n"
        "{tab}{identifier} = {expression}\n{tab}return {identifier}\n",
        "def {identifier}():\n{tab}print({string})\n\n\n{identifier}()",
        "for {identifier} in range({number}):\n{tab}print({expression})",
        "import {word}\n\nprint({expression})",
        "from {word} import {identifier}\n\n{identifier}({expression})",
        "class {word}:\n{tab}def __init__(self):\n{tab}{tab}self.{identifier} = {expression}",
        "if {identifier} == {expression}:\n{tab}{identifier}({expression})\nelse:\n{tab}pass",
        '#!/bin/sh\n{word} {identifier}\necho "{word} ${identifier}"',
        "{identifier}: {word}\n{identifier}:\n  - {word}\n  - {word}",
        '[{word}]\n{identifier} = "{word}"\n{identifier} = {number}',
        "- {word} {word}\n- {cased} {word}\n- {word}",
        "# {cased} {word}\n\n{sentence}",
        "# {cased}\n\n## {cased}\n\n- {sentence}\n- {sentence}\n",
        "<p>{sentence}</p>",
        '<div class="{word}">\n  <h1>{sentence}</h1>\n</div>',
        "{word},{number},{word}\n{word},{number},{word}\n{word},{number},{word}",
        "const {identifier} = ({identifier}) => {\n  return {expression};\n};",
        "SELECT {identifier}, {identifier} FROM {word} WHERE {identifier} = {expression};",
        "console.log({string});",
        "{identifier} = {expression}",
        "{identifier} = [{expression}, {expression}]",
        "#include <{word}.h>\n\nint main() {\n{tab}printf({string});\n{tab}return {number};\n}",
        "{identifier} = {expression}\n{identifier} = {expression}\nprint({identifier})",
        'fn main() {\n{tab}println!("{word}");\n}',
        "{word} {\n  {word}: {number}px;\n  {identifier}: {word};\n}",
        "{identifier}={word}\n{identifier}={number}",
        "assert {identifier}({expression}) == {expression}",
    )
)
_COMMANDS = templates("""
    4* [python|python3] {file}
    [python|python3|node|sh|bash|ruby] {file}[| {word}| --{word}]
    2* echo [{word}|{word} {word}|{string}|'{word} {word}']
    cat {file}
    cat {file} | [sort|uniq|wc -l|head -n {digit}]
    wc -l {file}
    mkdir -p {folder}
    cp {file} {file}
    mv {file} {file}
    touch {file}
    rm {file}
    grep [-n |-r |]{word} {file}
    [head|tail] -n {digit} {file}
    git add {file}
    git commit -m {string}
    git [status|log|diff|branch|log --oneline|pull|push|checkout {word}|diff {file}]
    pip install {word}
    uv run {word}
    pytest[| -q| {file}| -k {word}| -x {folder}]
    ruff check[| {file}]
    npm [install|test|start|run {word}]
    cargo [build|test|run]
    make[| {word}]
    go [build|test ./...|run {file}]
    ls[| -la| -l {folder}]
    [pwd|date|whoami|uname -a|df -h|env|id|uptime]
    {word} --{word} [{word}|{number}|{file}]
    {word} -{letter} {file}
    ./{file}
    python3 -c "print({number} + {number})"
    python -c 'print("{word} {word}")'
    sh -c 'echo "{word}"'
    {word} {word} > {file}
    echo "{word}" >> {file}
    cd {folder} && {word}
    find . -name '*.{extension}'
    sed -i 's/{word}/{word}/' {file}
    curl -s https://{word}.com/{word}
    tar -czf {word}.tar.gz {folder}
    diff {file} {file}
    chmod +x {file}
    docker run {word}
    {constant}={word} {word} {file}
""")
_CHAIN = parse("{command}[ && | && |; | | ]{command}")


def sentence(source: Source) -> str:
    if source.chance(0.4):
        text = expand(source.pick(_SENTENCES), source, SLOTS)
    else:
        text = " ".join(_sentence_word(source) for _ in range(source.between(1, 7)))
    if source.chance(0.4):
        text = text[0].upper() + text[1:]
    if source.chance(0.35):
        text += (
            source.pick(".....!!?,;:") if source.chance(0.95) else source.pick(("...", "!!", "?!"))
        )
    if source.chance(0.05):
        text = text.replace(" ", ", ", 1)
    if source.chance(0.05):
        text += " " + source.odd_text()
    if source.chance(0.04):
        text = text.replace("e", source.pick("éèê"), 1).replace("a", source.pick("äáà"), 1)
    if source.chance(0.04):
        text = text.replace(
            " ",
            source.pick((" - ", " & ", " + ", " = ", " / ", " -> ", " <", " @", " #", " * ")),
            1,
        )
    return text


def _sentence_word(source: Source) -> str:
    dice = source.random.random()
    return (
        source.pick(FILLERS)
        if dice < 0.3
        else source.number()
        if dice < 0.35
        else source.cased_word()
    )


def short(source: Source) -> str:
    """One line: a word, a phrase, a number, a setting."""
    dice = source.random.random()
    if dice < 0.3:
        return source.cased_word()
    if dice < 0.58:
        return " ".join(source.cased_word() for _ in range(source.between(2, 4)))
    if dice < 0.68:
        return sentence(source)
    if dice < 0.76:
        return source.number()
    if dice < 0.82:
        return source.identifier()
    if dice < 0.86:
        return expression(source)
    if dice < 0.98:
        return expand(source.pick(_SHORT), source, SLOTS)
    return "".join(source.pick(_PUNCTUATION) for _ in range(source.between(2, 10)))


def string_literal(source: Source) -> str:
    quote = source.pick('\'"""')
    text = " ".join(source.cased_word() for _ in range(source.between(1, 3)))
    return (
        quote
        + text
        + (source.pick(("!", ".", "?", ": ", "\\n", "%s", "{}")) if source.chance(0.1) else "")
        + quote
    )


def expression(source: Source) -> str:
    dice = source.random.random()
    if dice < 0.25:
        return source.number()
    if dice < 0.5:
        return source.identifier()
    if dice < 0.7:
        return string_literal(source)
    if dice < 0.8:
        return f"{source.identifier()} {source.pick('+-*/%')} {source.number()}"
    if dice < 0.9:
        return f"{source.identifier()}({source.identifier()})"
    return f"{source.identifier()}.{source.identifier()}"


def code(source: Source) -> str:
    if source.chance(0.04):
        pairs = {source.word(): source.word(), source.word(): source.between(0, 999)}
        return json.dumps(pairs, indent=source.pick((None, 2, 4)))
    tab = "    " if source.chance(0.8) else source.pick(("  ", "\t"))
    return expand(source.pick(_CODE), source, {**SLOTS, "tab": tab})


def code_line(source: Source) -> str:
    return code(source).split("\n")[0]


def lines(source: Source) -> str:
    count = source.between(2, 4) if source.chance(0.85) else source.between(5, 12)
    return "\n".join(sentence(source) for _ in range(count))


def content(source: Source) -> str:
    """The text of a file: one word to a screenful, several screens from an expansive source."""
    if source.expansive and source.chance(0.5):
        return _long(source)
    if source.chance(0.08):
        return _with_echo(source)
    dice = source.random.random()
    if dice < 0.35:
        return short(source)
    if dice < 0.6:
        return sentence(source)
    if dice < 0.67:
        return f"{sentence(source)} {sentence(source)}"
    if dice < 0.7:
        return " ".join(source.word() for _ in range(source.between(5, 30)))
    if dice < 0.92:
        return code(source) if source.chance(0.85) else f"{code(source)}\n\n{code(source)}"
    return lines(source)


def _long(source: Source) -> str:
    parts = (
        source.pick((code, lines, sentence))(source)
        for _ in range(source.between(4, source.pick((12, 30, 60))))
    )
    return source.pick(("\n", "\n\n")).join(parts)


def _with_echo(source: Source) -> str:
    """The same again, a little different: the place where copying goes wrong first."""
    text = source.pick((short, sentence, expression, code))(source)
    for _ in range(source.pick((1, 1, 1, 2, 3))):
        text += source.pick((" ", "\n", "\n", ", ", " and ", "; ")) + altered(
            source, text.split("\n")[-1]
        )
    return text


def altered(source: Source, text: str) -> str:
    """The same text with one word or number changed."""
    parts = re.findall(r"\w+|\W", text)
    places = [i for i, part in enumerate(parts) if part[0].isalnum()]
    if not places:
        return text + source.word()
    at = source.pick(places)
    old, dice = parts[at], source.random.random()
    if old.isdecimal() and len(old) < 9:
        parts[at] = str(int(old) + source.between(1, 9))
    elif dice < 0.5:
        parts[at] = source.word()
    elif dice < 0.65:
        parts[at] = old.capitalize() if old.islower() else old.lower()
    elif dice < 0.8:
        parts[at] = source.misspelt(old)
    else:
        parts[at] = old + source.pick((" ", "_", "-", ", ")) + source.word()
    return "".join(parts)


def command(source: Source) -> str:
    if source.chance(0.07):
        return expand(_CHAIN, source, SLOTS)
    return expand(source.pick(_COMMANDS), source, SLOTS)


def _a_command(source: Source) -> str:
    return expand(source.pick(_COMMANDS), source, SLOTS)


SLOTS: dict[str, str | Callable[[Source], str]] = {
    "adjective": lambda s: s.pick(ADJECTIVES),
    "cased": lambda s: s.word().capitalize(),
    "code_line": code_line,
    "command": _a_command,
    "constant": lambda s: s.word().upper(),
    "digit": lambda s: str(s.between(0, 9)),
    "expression": expression,
    "extension": Source.extension,
    "file": Source.file_name,
    "folder": Source.folder,
    "identifier": Source.identifier,
    "letter": lambda s: s.pick(LETTERS),
    "letters": lambda s: s.letters(3, 7),
    "number": Source.number,
    "sentence": sentence,
    "string": string_literal,
    "verb": lambda s: s.pick(VERBS),
    "word": Source.word,
}
