"""Every message survives the wire, whatever pieces it arrives in."""

import pytest

from mlxk.engine.policy import Policy
from mlxk.engine.protocol import (
    Abort,
    Add,
    Beat,
    Decoder,
    Failed,
    Job,
    Load,
    Raised,
    Ready,
    Step,
    Steps,
    Stop,
    Unloadable,
    encode,
)

MESSAGES = [
    Load("/models/x", 8, 512, None, 8, 1 << 30),
    Add(Job(7, (1, 2), (3,), 9, (2,), Policy(temperature=0.5, seed=1 << 63, bias=((4, -1.5),)))),
    Abort(7),
    Stop(),
    Ready(32_000, 1024, 1.5),
    Steps((Step(7, 11), Step(8, 2, "stop"), Step(9, 3, None, 5, -0.5, ((3, -0.5), (4, -1.5))))),
    Beat(2, 1, 0.25, 3, 1 << 30, ((7, 512),)),
    Failed(7, "engine_failed", "no"),
    Unloadable("model_unhealthy", "bad file"),
    Raised(3, "step:5 ValueError('no')"),
]


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_messages_survive_the_wire(size):
    wire = b"".join(encode(message) for message in MESSAGES)
    decoder = Decoder()
    pieces = (wire[at : at + size] for at in range(0, len(wire), size))
    assert [message for piece in pieces for message in decoder.feed(piece)] == MESSAGES
