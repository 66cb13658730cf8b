"""From tokens to the events of an answer, and what it cost."""

import pytest
from tiny_models import build

from mlxk.chat.fold import gather
from mlxk.chat.types import Message, Request, Text, Thinking
from mlxk.engine.answering import Question, answer
from mlxk.engine.jobs import job_of
from mlxk.engine.prompt import Prompter
from mlxk.engine.protocol import Step
from mlxk.engine.tickets import Ticket
from mlxk.engine.tokenizer import load_text

SAID = "<think>Hm.</think>Yes"
THINKS = "{% for m in messages %}{{ m.content }}{% endfor %}{# <think> #}"
ASKED = Request("m", (Message("user", (Text("Well?"),)),))


@pytest.fixture
def text(tmp_path):
    return load_text(build(tmp_path / "m", "qwen3", template=THINKS))


async def answered(text, prompt, said):
    ticket = Ticket(job_of(ASKED, prompt, text, 512), lambda ticket: None)
    for token in text.encode(said):
        ticket.take(Step(0, token))
    ticket.take(Step(0, 2, "stop"))
    return await gather(answer(Question(ASKED, prompt, text), ticket, lambda kind: kind))


async def test_thoughts_are_counted_by_themselves(text):
    fold = await answered(text, Prompter(text).prompt(ASKED), SAID)
    assert fold.message.parts == (Thinking("Hm."), Text("Yes"))
    usage = fold.finish.usage
    assert usage.completion_tokens == len(SAID)
    assert usage.reasoning_tokens == len("Hm.</think>")


async def test_after_a_raw_prompt_every_mark_is_text(text):
    fold = await answered(text, Prompter(text).raw("Well?"), SAID)
    assert fold.message.parts == (Text(SAID),)
    assert fold.finish.usage.reasoning_tokens == 0
