"""Server-sent events: frames to bytes and back. Knows no wire format and no socket."""

from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument, ProviderError
from mlxk.wire.frames import DONE, Frame

_LARGEST = 16 << 20


def encode(frame: Frame) -> bytes:
    if frame.comment is not None:
        return b": %b\n\n" % frame.comment.encode()
    data = b"[DONE]" if frame.data is None else encoding.dumps(frame.data)
    if frame.event is None:
        return b"data: %b\n\n" % data
    return b"event: %b\ndata: %b\n\n" % (frame.event.encode(), data)


class Decoder:
    """Feed it bytes as they arrive, in pieces of any size. Comments are dropped."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._event = b""
        self._data: list[bytes] = []
        self._held = 0  # bytes of the lines that wait for the end of their event

    def feed(self, piece: bytes) -> list[Frame]:
        frames: list[Frame] = []
        for line in self._lines(piece):
            if line:
                self._field(line)
            elif frame := self._take():
                frames.append(frame)
        if len(self._rest) + self._held > _LARGEST:
            raise ProviderError("a stream event is larger than 16 MiB")
        return frames

    def _lines(self, piece: bytes) -> list[bytes]:
        """Whole lines without their ends; a CR at the end waits, for its LF may follow."""
        if not self._rest.endswith(b"\r") and b"\n" not in piece and b"\r" not in piece:
            self._rest += piece  # the middle of a long line is looked at once
            return []
        lines = bytes(self._rest + piece).splitlines(keepends=True)
        unfinished = lines and not lines[-1].endswith(b"\n")
        self._rest = bytearray(lines.pop() if unfinished else b"")
        return [line.rstrip(b"\r\n") for line in lines]

    def _field(self, line: bytes) -> None:
        name, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._held += len(line)
        elif name == b"event":
            self._event = value

    def _take(self) -> Frame | None:
        data, event = b"\n".join(self._data), self._event
        self._data, self._event, self._held = [], b"", 0
        if not data:
            return None
        if data.strip() == b"[DONE]":
            return DONE
        try:
            value = encoding.loads(data, "a stream event")
        except InvalidDocument as e:
            raise ProviderError(str(e)) from e
        if not isinstance(value, dict):
            raise ProviderError("a stream event is not a JSON object")
        return Frame(value, event.decode("utf-8", "replace") or None)
