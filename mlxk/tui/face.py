"""What a command may ask of the face that it was typed into."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mlxk.agent.desk import Desk
    from mlxk.agent.desk_look import Changes
    from mlxk.agent.desk_tab import Tab


class Face(Protocol):
    """The full screen or the plain lines."""

    @property
    def desk(self) -> "Desk": ...

    @property
    def tab(self) -> "Tab":
        """The one that is shown."""

    def say(self, text: str) -> None:
        """A few words in the conversation."""

    def page(self, title: str, text: str) -> None:
        """A text that may be long."""

    def show_changes(self, title: str, changes: "Changes") -> None: ...

    def go(self, tab: "Tab") -> None:
        """Show that tab."""

    async def confirm(self, question: str) -> bool:
        """Yes when nobody can be asked: nothing that is confirmed loses work."""

    async def closed(self, tab: "Tab") -> None:
        """The tab is gone: show another, or leave when it was the last."""

    async def leave(self) -> None:
        """End the face; the desk closes all tabs."""
