"""Who is to be answered: every live ticket, and which of them the process may have now.

A ticket that was there at two deaths without progress is a suspect. Suspects go to the process
one at a time, alone; if it dies then, that ticket gets the error and the others live.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count

from mlxk.contract.errors import MlxkError
from mlxk.engine.protocol import Job, Step
from mlxk.engine.tickets import Ticket

PROGRESS = 4


class Roster:
    """`on_release` hears of each ticket that its reader has closed."""

    def __init__(self, on_release: Callable[[Ticket], None]) -> None:
        self._on_release = on_release
        self._uids = count(1)
        self._tickets: dict[int, Ticket] = {}
        self._suspects: deque[Ticket] = deque()

    def __len__(self) -> int:
        return len(self._tickets)

    def has_place(self, client: str | None, most: int) -> bool:
        """Whether fewer than `most` are here; or, when it is full of others, fewer of this client
        than its part would be if all clients had as many."""
        if len(self._tickets) < most:
            return True
        counts = Counter(ticket.job.client for ticket in self._tickets.values())
        counts[client] += 1
        return counts[client] * len(counts) <= most

    @property
    def sent(self) -> int:
        """How many the process has, in its batch or in its own queue."""
        return sum(t.is_sent and not t.is_over for t in self._tickets.values())

    def enter(self, job: Job) -> Ticket:
        ticket = Ticket(replace(job, uid=next(self._uids)), self._leave)
        self._tickets[ticket.uid] = ticket
        return ticket

    def take(self, step: Step) -> None:
        if ticket := self._tickets.get(step.uid):
            ticket.take(step)

    def note_reading(self, reading: Iterable[tuple[int, int]]) -> None:
        for uid, read in reading:
            if ticket := self._tickets.get(uid):
                ticket.note_reading(read)

    def fail(self, uid: int, error: MlxkError) -> None:
        if ticket := self._tickets.get(uid):
            ticket.fail(error)

    def fail_all(self, error: MlxkError) -> None:
        for ticket in self._tickets.values():
            ticket.fail(error)

    def unsent(self) -> list[Ticket]:
        """What the process may have and has not; marked as sent from now on."""
        while self._suspects and self._suspects[0].is_cleared(PROGRESS):
            self._suspects.popleft().deaths = 0
        allowed = [self._suspects[0]] if self._suspects else list(self._tickets.values())
        tickets = [ticket for ticket in allowed if not (ticket.is_sent or ticket.is_over)]
        for ticket in tickets:
            ticket.is_sent = True
        return tickets

    @property
    def has_trial(self) -> bool:
        return bool(self._suspects)

    def survive(self, error: MlxkError) -> None:
        """The process died. Whoever was alone with it twice is to blame."""
        present = [t for t in self._tickets.values() if t.is_sent and not t.is_over]
        for ticket in present:
            ticket.survive(PROGRESS)
        suspects = [ticket for ticket in present if ticket.deaths > 1]
        if len(present) == 1:
            for ticket in suspects:
                ticket.fail(error)
        waiting = [ticket for ticket in self._suspects if ticket not in suspects]
        self._suspects = deque(t for t in (*suspects, *waiting) if not t.is_over)

    def _leave(self, ticket: Ticket) -> None:
        if self._tickets.pop(ticket.uid, None):
            ticket.is_over, was_over = True, ticket.is_over
            if not was_over:
                self._on_release(ticket)
