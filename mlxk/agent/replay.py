"""Run a session again with its recorded answers: the same words, real tools, a new branch."""

from collections.abc import Sequence
from datetime import datetime

from mlxk.agent import compose, transcript
from mlxk.agent.events import PermissionAsked
from mlxk.agent.job import Bounds, Ended, Job, Listener, Order
from mlxk.agent.limits import Budgets
from mlxk.agent.permissions import Answer
from mlxk.agent.scribe import Scribe
from mlxk.agent.settings import from_meta
from mlxk.agent.subagent import NAME as HELPER
from mlxk.chat.scripted import Scripted
from mlxk.chat.types import Message, ToolResult
from mlxk.contract.errors import InvalidValue, ProviderError, ReplayDiffers
from mlxk.history.record import Place
from mlxk.history.session import Session
from mlxk.history.store import Store


async def run_again(store: Store, place: Place, when: datetime, listener: Listener) -> Ended:
    """From the files the session began with to those of `place`.

    ReplayDiffers, in what is returned, when other files come out. InvalidValue for a session that
    cannot be run again.
    """
    messages = transcript.from_lines(place.lines())
    prompts = [message.text for message in messages if message.role == "user"]
    answers = [message.parts for message in messages if message.role == "assistant"]
    if not prompts or not answers:
        raise InvalidValue(f"{place.record.branch} has no answers to replay")
    if any(use.name == HELPER for message in messages for use in message.tool_uses):
        raise InvalidValue("helpers spoke in sessions of their own: this one can only be shown")
    model = Scripted(*answers, ProviderError("the recording ends here"))
    bounds = Bounds(Budgets(turns=None), answer=_as_recorded(messages))
    name, settings = f"{place.record.name}-replay", from_meta(place.meta())
    order = Order(prompts[0], then=tuple(prompts[1:]), fresh=True)

    def fork(store: Store) -> Session:
        return compose.fork(store, place.record.at(0), settings, name, when)

    with Scribe(store) as scribe:
        async with scribe.holding(fork) as session:
            ended = await Job(session, scribe, model, settings, bounds=bounds).run(order, listener)
    made = ended.report.head
    if ended.error is None and store.tree_of(made) != store.tree_of(place.code):
        hint = f"git diff {place.code[:12]} {made[:12]}"
        return Ended(ended.report, ReplayDiffers("other files came out", hint=hint))
    return ended


def _as_recorded(messages: Sequence[Message]) -> Answer:
    """Whoever was asked then has answered: a call that gave an error may have been refused."""
    parts = [part for message in messages for part in message.parts]
    failed = {part.tool_use_id for part in parts if isinstance(part, ToolResult) and part.is_error}

    async def answer(asked: PermissionAsked) -> bool:
        return asked.id not in failed

    return answer
