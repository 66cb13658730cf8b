"""Server-sent events arrive whole, whatever the pieces and line ends."""

import pytest

from mlxk.contract.errors import ProviderError
from mlxk.wire import sse
from mlxk.wire.frames import DONE, KEEP_ALIVE, Frame

STREAMS = {
    "LF": b'data: {"a": 1}\n\n',
    "CRLF": b'data: {"a": 1}\r\n\r\n',
    "no space": b'data:{"a": 1}\n\n',
    "over two lines": b'data: {"a":\ndata: 1}\n\n',
    "comment before": b': hello\n\ndata: {"a": 1}\n\n',
    "byte order mark": b'\xef\xbb\xbfdata: {"a": 1}\n\n',
    "unknown fields": b'id: 4\nretry: 10\ndata: {"a": 1}\n\n',
}


def read(stream, size):
    decoder = sse.Decoder()
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    return [frame for piece in pieces for frame in decoder.feed(piece)]


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_frame_is_read(stream, size):
    assert read(stream, size) == [Frame({"a": 1})]


@pytest.mark.parametrize("frame", [Frame({"a": "\n\u2028\ud800"}), Frame({"b": 2}, "ping"), DONE])
def test_what_is_written_is_read(frame):
    assert read(sse.encode(frame), 3) == [frame]


def test_a_heartbeat_says_nothing():
    assert read(sse.encode(KEEP_ALIVE), 3) == []


def test_an_unfinished_frame_is_not_told():
    assert read(b'data: {"a": 1}\n', 5) == []


@pytest.mark.parametrize(
    "line", [b"x" * (1 << 20), b"data: " + b"x" * (1 << 20) + b"\n", b"data:\n" * (1 << 18)]
)
def test_a_frame_without_end_is_not_kept(line):
    with pytest.raises(ProviderError, match="larger than 16 MiB"):
        read(line * 20, 1 << 20)


@pytest.mark.parametrize("data", [b"data: {nonsense\n\n", b"data: 5\n\n"])
def test_a_frame_that_is_no_object_is_the_providers_fault(data):
    with pytest.raises(ProviderError):
        read(data, 100)
