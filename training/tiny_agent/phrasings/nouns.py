"""What requests call files and folders."""

# ruff: noqa: E501 -- one template a line

from collections.abc import Callable

from training.tiny_agent.grammar import expand, parse
from training.tiny_agent.source import Source
from training.tiny_agent.values import SLOTS as VALUE_SLOTS

_KIND = parse(
    "[|small |short |simple |little |new ][text file|python script|python file|python program|markdown file|json file"
    "|yaml file|csv file|config file|shell script|bash script|script|note|web page|html page|html file|log file|module"
    "|source file|document|css file|javascript file|rust file|readme|java file|program|toml file]"
)
_NEW = parse(
    "[||||||a file |a file |a file called |a file named |a new file |a new file called |a new file named |the file "
    "|file |a file with the name |the new file |a text file |a text file called |a text file named |a script "
    "|a script called |a {kind} |a {kind} called |a {kind} named |the {kind} |one file called |another file called "
    "|my file |a {kind} with the name |an new file |new file ]"
)
_OLD = parse("[|||||the file |file |the file called |the file named |our |my |the {kind} ]")


def _kind(source: Source) -> str:
    return expand(_KIND, source, {})


def _new(source: Source) -> str:
    return expand(_NEW, source, SLOTS)


def _old(source: Source) -> str:
    return expand(_OLD, source, SLOTS)


SLOTS: dict[str, str | Callable[[Source], str]] = {
    **VALUE_SLOTS,
    "kind": _kind,
    "new": _new,
    "old": _old,
}
