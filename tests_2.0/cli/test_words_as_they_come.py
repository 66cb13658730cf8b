"""What an agent says is shown as it comes, and no two answers stand on one line."""

import io

from mlxk.agent import events
from mlxk.cli.agent import live


def told(*payloads):
    out = io.StringIO()
    show = live(out, io.StringIO())
    for number, data in enumerate(payloads, 1):
        show(events.Event(data.type, number, "2026-01-01T00:00:00Z", "s", 1, data))
    return out.getvalue()


def test_a_second_answer_begins_a_line_of_its_own():
    turn = events.TurnStarted(1)
    said = told(turn, turn, events.TextDelta("On"), events.TextDelta("e."), turn, turn)
    assert said == "One.\n"
    assert told(turn, events.TextDelta("One.\n"), turn, events.TextDelta("Two.")) == "One.\nTwo."
