"""How a face on a terminal begins, and what a command may ask of the one it was typed into."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mlxk.contract.errors import InvalidValue

if TYPE_CHECKING:
    from mlxk.agent.desk import Desk
    from mlxk.agent.desk_look import Changes
    from mlxk.agent.desk_tab import Tab


@dataclass(frozen=True, slots=True)
class Line:
    """What was typed after the command: its options, and the rest as it stands."""

    options: dict[str, str]
    rest: str

    def has(self, name: str) -> bool:
        return name in self.options

    def number(self, name: str) -> int | None:
        text = self.options.get(name)
        if text is None:
            return None
        if not text.isdecimal():
            raise InvalidValue(f"{name} wants a number, not {text!r}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Opening:
    """`desk` is made after the first paint: its imports take time. `given` are the settings that
    override those of the session to `resume`."""

    desk: "Callable[[], Desk]"
    resume: str | None = None
    given: Callable[[], Mapping[str, Any]] = dict
    light: bool = False


class Face(Protocol):
    """The full screen or the plain lines."""

    @property
    def desk(self) -> "Desk": ...

    @property
    def tab(self) -> "Tab":
        """The one that is shown."""
        ...

    def say(self, text: str) -> None:
        """A few words in the conversation."""

    def page(self, title: str, text: str) -> None:
        """A text that may be long."""

    def show_changes(self, title: str, changes: "Changes") -> None: ...

    def go(self, tab: "Tab") -> None:
        """Show that tab."""

    async def confirm(self, question: str) -> bool:
        """Yes when nobody can be asked: nothing that is confirmed loses work."""
        ...

    async def closed(self, tab: "Tab") -> None:
        """The tab is gone: show another, or leave when it was the last."""

    async def leave(self) -> None:
        """End the face; the desk closes all tabs."""
