"""Whatever a client sends is understood or refused in our own words; nothing else comes out."""

from dataclasses import fields, is_dataclass
from random import Random
from types import NoneType
from typing import get_args, get_type_hints

import mutations
import pytest

from mlxk.chat.types import Message, ResponseFormat, Sampling, Tool, ToolChoice
from mlxk.contract.errors import MlxkError
from mlxk.contract.notes import collecting
from mlxk.wire import anthropic, gemini, openai_chat, openai_completions, openai_responses

ROUTES = {
    "openai_chat": (openai_chat.FORMAT, mutations.CHAT),
    "openai_completions": (openai_completions.FORMAT, mutations.COMPLETIONS),
    "openai_responses": (openai_responses.FORMAT, mutations.RESPONSES),
    "anthropic": (anthropic.FORMAT, mutations.ANTHROPIC),
    "gemini": (gemini.FORMAT, mutations.GEMINI),
}


@pytest.mark.parametrize("seed", [7, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("fmt", "body"), ROUTES.values(), ids=ROUTES)
def test_any_change_to_a_request_is_read_or_refused(fmt, body, seed):
    random, count = Random(seed), 250 if seed == 7 else 3000
    for _ in range(count):
        assert misread(fmt, mutations.mutated(body, random)) == []


def misread(fmt, body):
    """What is wrong with what was made of it; nothing if it was refused."""
    try:
        with collecting():
            return list(mistyped(fmt.decode_request(body).request))
    except MlxkError as e:
        return [e] if e.http_status >= 500 else []


def mistyped(value):
    """The fields, however deep, that do not hold what their class says."""
    if isinstance(value, tuple):
        for item in value:
            yield from mistyped(item)
    if not is_dataclass(value):
        return
    hints = get_type_hints(type(value))
    for field in fields(value):
        inner = getattr(value, field.name)
        plain = get_args(hints[field.name]) or (hints[field.name],)
        plain += (int,) * (float in plain)
        if set(plain) <= {str, int, float, bool, NoneType} and not isinstance(inner, plain):
            yield type(value).__name__, field.name, inner
        yield from mistyped(inner)


def test_what_is_mistyped_is_seen():
    bad = (Tool("f", 5, {}), ToolChoice("named", []), ResponseFormat(pattern={}), Sampling(seed=""))
    assert len(list(mistyped(Message("user", bad)))) == 4


@pytest.mark.parametrize(("fmt", "body"), ROUTES.values(), ids=ROUTES)
def test_the_requests_are_good_before_they_are_changed(fmt, body):
    fmt.decode_request(body)
