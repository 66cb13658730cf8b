"""The ranks of one engine do the same steps in the same order: rank 0 says which.

Commands go from rank 0 to the others over sockets of their own, a turn at a time, so that an idle
engine sleeps: in a collective operation it would spin. The end of any rank is the end of all; so
is a step that raises, unless it raises at every rank in the same place.
"""

import logging
import os
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from mlxk.engine.inbox import Inbox, asleep, awaited
from mlxk.engine.protocol import Command, Decoder, Raised, Report, Turn, encode

if TYPE_CHECKING:
    from mlxk.engine.shard import Shard

_TOKEN = 16
_HELLO = struct.Struct(f">I{_TOKEN}s")
_GATHERING_S = 60.0
# Between the first rank that raises and the last.
PATIENCE_S = 10.0

log = logging.getLogger(__name__)


class Team:
    """Rank 0's side. `on_report` hears what another rank has to say before it ends."""

    def __init__(
        self, sockets: Sequence[socket.socket], on_report: Callable[[Report], None]
    ) -> None:
        self._sockets = sockets
        self._on_report = on_report
        self._raised: SimpleQueue[Raised] = SimpleQueue()
        for rank, each in enumerate(sockets, 1):
            threading.Thread(target=self._listen, args=(each, rank), daemon=True).start()

    def send(self, *messages: Command | Turn | Raised) -> None:
        frames = b"".join(map(encode, messages))
        for each in self._sockets:
            try:
                each.sendall(frames)
            except OSError:
                leave("a rank is gone")

    def _listen(self, link: socket.socket, rank: int) -> None:
        decoder = Decoder()
        with suppress(OSError):
            while data := link.recv(1 << 12):
                for report in decoder.feed(data):
                    if isinstance(report, Raised):
                        self._raised.put(report)
                    else:
                        self._on_report(report)  # type: ignore[arg-type]
        leave(f"rank {rank} is gone")

    def confirm(self, word: Raised) -> None:
        """All the others say the same, soon."""
        for _ in self._sockets:
            expect(word, self._raised)
        self.send(word)


class Leading:
    """Rank 0's inbox: what it takes, all take."""

    def __init__(self, inbox: Inbox, team: Team) -> None:
        self._inbox = inbox
        self._team = team
        self._turns = 0

    def take(self, meanwhile: Callable[[], bool] | None = None) -> Sequence[Command]:
        taken = self._inbox.take(meanwhile)
        self._team.send(*taken, Turn())
        self._turns += 1
        return taken

    def has_raised(self, where: str) -> None:
        """See `Following`."""
        self._team.confirm(Raised(self._turns, where))


class Following:
    """Another rank's inbox: rank 0's turns, one by one."""

    def __init__(self, say: Callable[[Raised], None]) -> None:
        self._say = say
        self._queue: SimpleQueue[Command | Turn | Raised] = SimpleQueue()
        self._turns = 0

    def put(self, message: Command | Turn | Raised) -> None:
        self._queue.put(message)

    def take(self, meanwhile: Callable[[], bool] | None = None) -> Sequence[Command]:
        message = awaited(self._queue, meanwhile or asleep)
        taken: list[Command] = []
        while not isinstance(message, Turn):
            assert not isinstance(message, Raised)
            taken.append(message)
            message = self._queue.get()
        self._turns += 1
        return taken

    def has_raised(self, where: str) -> None:
        """Returns when this turn's step raised there at every rank; otherwise this is the end."""
        word = Raised(self._turns, where)
        self._say(word)
        expect(word, self._queue)


def gather(shard: "Shard", host: str) -> list[socket.socket]:
    """Rank 0 listens at `host` and tells the others, through the group, where and by which token
    they are known. Rank 0 gets their sockets by rank, each of the others its own one."""
    if shard.group.rank() > 0:
        port, *token = shard.numbers([0] * (_TOKEN + 1))
        link = socket.create_connection((host, port), _GATHERING_S)
        link.settimeout(None)
        link.sendall(_HELLO.pack(shard.group.rank(), bytes(token)))
        return [link]
    with socket.create_server((host, 0)) as server:
        token = list(secrets.token_bytes(_TOKEN))
        shard.numbers([server.getsockname()[1], *token])
        return _accepted(server, shard.ranks - 1, bytes(token))


def expect(word: Raised, queue: "SimpleQueue[Any]") -> None:
    """Who raised elsewhere, or not at all, is in the middle of something that needs all ranks."""
    heard = None
    with suppress(Empty):
        heard = queue.get(timeout=PATIENCE_S)
    if heard != word:
        leave(f"a step failed at some ranks only, here {word}, elsewhere {heard}")


def leave(reason: str) -> None:
    """From any thread, whatever the others do. Not 0: the launcher then ends the other ranks."""
    log.error("%s", reason)
    os._exit(1)


def _accepted(server: socket.socket, count: int, token: bytes) -> list[socket.socket]:
    links: dict[int, socket.socket] = {}
    end = time.monotonic() + _GATHERING_S
    while len(links) < count:
        server.settimeout(max(end - time.monotonic(), 0.001))
        link, _ = server.accept()
        link.settimeout(1.0)
        hello = b""
        with suppress(OSError):
            hello = link.recv(_HELLO.size, socket.MSG_WAITALL)
        rank, said = _HELLO.unpack(hello) if len(hello) == _HELLO.size else (0, b"")
        if not (0 < rank <= count and secrets.compare_digest(said, token)):
            link.close()
            continue
        link.settimeout(None)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        links[rank] = link
    return [links[rank] for rank in sorted(links)]
