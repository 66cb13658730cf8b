"""Where prompts and commands are typed."""

from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.widgets import TextArea

_NEW_LINE = ("ctrl+j", "shift+enter", "alt+enter")


class Editor(TextArea):
    """Enter sends, Ctrl-J breaks the line, the arrows at the edge recall what was sent before."""

    @dataclass
    class Sent(Message):
        text: str

    @dataclass
    class Complete(Message):
        """Tab was pressed; `text` is what stands before the cursor."""

        text: str

    def __init__(self) -> None:
        hint = "Ask for something, or /help"
        super().__init__(soft_wrap=True, placeholder=hint, highlight_cursor_line=False)
        self.cursor_blink = False
        self._sent: list[str] = []
        self._at = 0

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            self._take(event)
            self._send()
        elif event.key in _NEW_LINE:
            self._take(event)
            self.insert("\n")
        elif event.key == "tab":
            self._take(event)
            self.post_message(self.Complete(self.before_cursor))
        elif event.key == "up" and self.cursor_at_first_line and self._at > 0:
            self._take(event)
            self.recall()
        elif event.key == "down" and self.cursor_at_last_line and self._at < len(self._sent):
            self._take(event)
            self._show(self._at + 1)
        else:
            await super()._on_key(event)

    @property
    def before_cursor(self) -> str:
        return self.get_text_range((0, 0), self.cursor_location)

    def recall(self) -> None:
        """What was sent before, further back each time."""
        if self._at > 0:
            self._show(self._at - 1)

    def put(self, text: str) -> None:
        """Replace what is there, the cursor at its end."""
        self.text = text
        self.move_cursor(self.document.end)

    def put_before_cursor(self, text: str) -> None:
        self.replace(text, (0, 0), self.cursor_location)

    def _send(self) -> None:
        text = self.text
        if text.strip():
            if self._sent[-1:] != [text]:
                self._sent.append(text)
            self._at = len(self._sent)
            self.text = ""
            self.post_message(self.Sent(text))

    def _show(self, at: int) -> None:
        self._at = at
        self.put(self._sent[at] if at < len(self._sent) else "")

    def _take(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
