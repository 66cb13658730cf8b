"""Drafts change how soon an answer comes, never what it says."""

import random

import numpy as np
import pytest

from mlxk.chat.fold import gather
from mlxk.chat.types import Message, Request, Text, Tool
from mlxk.contract.errors import DraftMismatch
from mlxk.engine.drafting import Drafting
from mlxk.engine.lookup import Lookup
from mlxk.engine.model import EngineModel
from mlxk.engine.options import EngineOptions
from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Job, Load
from mlxk.engine.wager import MOST, Wager
from mlxk.engine.weights import load_runner
from mlxk.hub import names

WRITE = Tool(
    "write_file",
    "Write a file.",
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["path", "content"],
    },
)
WARM = Policy(temperature=0.8, top_p=0.9, seed=11)
POLICIES = {
    "greedy": Policy(),
    "warm": WARM,
    "biased": Policy(temperature=1.0, top_k=5, seed=3, bias=((40, 3.0), (99999, 1.0))),
}


class Eager(Wager):
    """Drafts at every step, whatever it costs."""

    length = property(lambda self: 5)


class Oracle:
    """Knows the whole text, and says something else with the chance of `doubt`."""

    def __init__(self, text, doubt, dice):
        self.text, self.doubt, self.dice = text, doubt, dice

    def prepare(self, text, hints):
        return True

    def propose(self, text, hints, most):
        found = self.text[text.size : text.size + self.dice.randint(0, most)]
        return [t if self.dice.random() > self.doubt else (t + 1) % 250 for t in found]


@pytest.fixture(scope="session")
def loaded(tiny_model):
    """`loaded("qwen3")`: a runner without drafts, loaded once, emptied for each test."""
    known = {}

    def get(family="qwen3", kv_bits=None):
        if (family, kv_bits) not in known:
            load = Load(str(tiny_model(family)), 8, 64, None, kv_bits, 1 << 24)
            known[family, kv_bits] = load_runner(load).runner
        known[family, kv_bits].reset()
        known[family, kv_bits]._drafting = None
        return known[family, kv_bits]

    return get


def steps_of(runner, *jobs):
    """Of all until all have ended; the first is alone for a while, the others join it."""
    steps, (first, *others) = [], jobs
    runner.add(first)
    while sum(step.ended is not None for step in steps) < len(jobs):
        steps += runner.step()
        if others and len(steps) > 12:
            runner.add(others.pop(0))
    return steps


def said(steps, uid=1):
    return [step.token for step in steps if step.uid == uid]


def shares(steps):
    return sum(step.drafted for step in steps), sum(step.accepted for step in steps)


def prompt_of(dice, length):
    return tuple(dice.randrange(3, 259) for _ in range(length))


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("kind", [("qwen3", None), ("llama", None), ("llama-wide", 8)], ids=str)
def test_the_answer_is_what_it_is_without_drafts(loaded, kind, policy):
    dice = random.Random(str((kind, policy)))
    for length, most in ((2, 40), (17, 1), (17, 2), (33, 3), (60, 90)):
        runner = loaded(*kind)
        job = Job(1, prompt_of(dice, length), (), most, (), policy)
        wanted = said(steps_of(runner, job))
        runner.reset()
        runner._drafting = Drafting(Oracle([*job.prompt, *wanted], 0.2, dice), Eager)
        steps = steps_of(runner, job)
        assert said(steps) == wanted
        assert [step.ended for step in steps] == [None] * (most - 1) + ["length"]
        drafted, accepted = shares(steps)
        assert (0 < accepted < drafted) is (most > 30)


def test_a_stop_token_within_a_draft_ends_the_answer_and_what_is_kept_is_right(loaded):
    dice, runner = random.Random(4), loaded()
    prompt = prompt_of(dice, 30)
    whole = said(steps_of(runner, Job(1, prompt, (), 60, (), WARM)))
    for stop in {whole[at] for at in (8, 11, 19, 26, 33)}:
        runner.reset()
        job = Job(1, prompt, (), 60, (stop,), WARM)
        runner._drafting = Drafting(Oracle([*prompt, *whole], 0.1, dice), Eager)
        steps = steps_of(runner, job)
        assert said(steps) == whole[: whole.index(stop) + 1]
        assert steps[-1].ended == "stop"
        more = Job(2, (*prompt, *said(steps), 9, 8), (), 20, (), Policy())
        again = steps_of(runner, more)
        assert again[0].cached == len(prompt) + len(said(steps))
        runner.reset()
        runner._drafting = None
        assert said(again, 2) == said(steps_of(runner, more), 2)


def test_others_may_join_and_leave_between_drafts(loaded):
    dice, runner = random.Random(5), loaded()
    first = Job(1, prompt_of(dice, 20), (), 200, (), WARM)
    others = [Job(uid, prompt_of(dice, 30), (), 15, (), Policy()) for uid in (2, 3)]
    wanted = {job.uid: said(steps_of(runner, job), job.uid) for job in (first, *others)}
    runner.reset()
    runner._drafting = Drafting(Oracle([*first.prompt, *wanted[1]], 0.1, dice), Eager)
    steps = steps_of(runner, first, *others)
    assert {uid: said(steps, uid) for uid in wanted} == wanted
    last = max(at for at, step in enumerate(steps) if step.uid == 3)
    assert shares(steps[:last])[1] > 0 < shares(steps[last:])[1]


class Everybody(Oracle):
    """Knows what each of several texts will be."""

    def __init__(self, texts, dice):
        super().__init__([], 0.2, dice)
        self.texts = texts

    def propose(self, text, hints, most):
        known = text.tolist()
        self.text = next((each for each in self.texts if each[: len(known)] == known), [])
        return super().propose(text, hints, most)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_changing_crowd_says_what_each_says_alone(loaded, seed):
    dice, runner = random.Random(seed), loaded(("qwen3", "llama", "qwen3_moe")[seed % 3])
    jobs = [
        Job(
            uid,
            prompt_of(dice, dice.choice([1, 2, 17, 60])),
            (),
            dice.choice([1, 2, 3, 150, 150]),
            tuple(dice.sample(range(259), dice.choice([0, 0, 1]))),
            Policy(temperature=dice.choice([0, 0.7, 1.5]), top_p=0.9, seed=dice.randrange(99)),
        )
        for uid in range(1, 9)
    ]
    wanted = {}
    for job in jobs:
        runner.reset()
        wanted[job.uid] = said(steps_of(runner, job), job.uid)
    runner.reset()
    texts = [[*job.prompt, *wanted[job.uid]] for job in jobs]
    runner._drafting = Drafting(Everybody(texts, dice), Eager)
    got, accepted = crowded(runner, jobs, dice)
    assert accepted
    for uid, tokens in wanted.items():
        assert got[uid] == tokens[: len(got[uid])]
        assert uid in (2, 5) or got[uid] == tokens


def crowded(runner, jobs, dice):
    """Tokens of each, and how many had been drafted; jobs come at random moments, two of them are
    given up at random ones."""
    waiting, running, accepted = list(jobs), set(), 0
    got = {job.uid: [] for job in jobs}
    while waiting or running:
        if waiting and (not running or dice.random() < 0.02):
            job = waiting.pop(0)
            runner.add(job)
            running.add(job.uid)
        for step in runner.step():
            got[step.uid].append(step.token)
            accepted += step.accepted
            running -= {step.uid} if step.ended else set()
        for uid in running & {2, 5}:
            if dice.random() < 0.05:
                runner.remove(uid)
                running.discard(uid)
    return got, accepted


def test_a_running_answer_lends_what_a_draft_has_brought(loaded):
    dice, runner = random.Random(6), loaded()
    job = Job(1, prompt_of(dice, 40), (), 120, (), Policy())
    wanted = said(steps_of(runner, job))
    second = Job(2, (*job.prompt, *wanted[:30], 7), (), 12, (), Policy())
    runner.reset()
    alone = said(steps_of(runner, second), 2)
    runner.reset()
    runner._drafting = Drafting(Oracle([*job.prompt, *wanted], 0.3, dice), Eager)
    runner.add(job)
    steps = []
    while len(steps) < 32:
        steps += runner.step()
    runner.add(second)
    while sum(step.ended is not None for step in steps) < 2:
        steps += runner.step()
    assert (said(steps), said(steps, 2)) == (wanted, alone)
    assert next(step.cached for step in steps if step.uid == 2) >= 60


def test_what_was_drafted_when_somebody_leaves_is_cut_off(loaded):
    dice, runner = random.Random(7), loaded()
    job = Job(1, prompt_of(dice, 40), (), 120, (), Policy())
    wanted = said(steps_of(runner, job))
    runner.reset()
    runner._drafting = Drafting(Oracle([*job.prompt, *wanted], 0.3, dice), Eager)
    runner.add(job)
    steps = []
    while len(steps) < 30:
        steps += runner.step()
    runner.remove(1)
    rest = Job(2, job.prompt, tuple(said(steps)), 120, (), Policy())
    again = steps_of(runner, rest)
    assert again[0].cached == len(job.prompt)
    assert [*said(steps), *said(again, 2)] == wanted


@pytest.mark.parametrize(
    "fields",
    [{"top_logprobs": 1}, {"policy": Policy(repetition=1.2)}, {"grammar": "start: /[a-z ]+/"}],
    ids=str,
)
def test_who_needs_every_step_gets_no_drafts(loaded, fields):
    runner = loaded()
    runner._drafting = Drafting(Oracle([1] * 500, 0, random.Random(1)), Eager)
    fields = {"policy": Policy()} | fields
    steps = steps_of(runner, Job(1, (5, 6, 7), (), 30, (), **fields))
    assert shares(steps) == (0, 0)


def test_windows_and_states_are_answered_without_drafts(tiny_model):
    for family in ("gemma3_text", "mamba2"):
        load = Load(str(tiny_model(family)), 8, 64, None, None, 1 << 24, draft="lookup")
        runner = load_runner(load).runner
        assert len(said(steps_of(runner, Job(1, (5, 6, 7), (), 30, (), Policy())))) == 30


@pytest.fixture
def with_model(tiny_model):
    """A runner for qwen3 whose drafts come from another model, or from the same one."""

    def get(**options):
        folder = tiny_model("qwen3", **options)
        load = Load(str(tiny_model("qwen3")), 8, 64, None, None, 1 << 24, draft=str(folder))
        runner = load_runner(load).runner
        runner._drafting._new_wager = Eager
        return runner

    return get


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_a_model_that_is_always_right_is_believed(loaded, with_model, policy):
    dice, runner = random.Random(8), with_model()
    for length, most in ((3, 30), (440, 60)):
        job = Job(1, prompt_of(dice, length), (), most, (), policy)
        wanted = said(steps_of(loaded(), job))
        steps = steps_of(runner, job)
        assert said(steps) == wanted
        drafted, accepted = shares(steps)
        assert accepted > most * 0.6 if policy.is_greedy else drafted > accepted > 0
        assert not policy.is_greedy or accepted == drafted


def test_a_model_that_is_never_right_does_no_harm(loaded, with_model):
    dice, runner = random.Random(9), with_model(seed=5)
    for uid in (1, 2):
        job = Job(uid, prompt_of(dice, 50), (), 20, (), WARM)
        steps = steps_of(runner, job)
        assert said(steps, uid) == said(steps_of(loaded(), job), uid)
        assert shares(steps)[0] > 40


@pytest.mark.parametrize("has_few_shapes", [False, True])
def test_a_draft_model_goes_on_from_what_it_has_read(loaded, with_model, has_few_shapes):
    dice, runner = random.Random(10), with_model()
    runner._drafting._drafter._has_few_shapes = has_few_shapes
    first = Job(1, prompt_of(dice, 300), (), 20, (), Policy())
    answer = said(steps_of(runner, first))
    read = runner._drafting._drafter._read.size
    assert read > 300
    steps_of(runner, Job(2, prompt_of(dice, 9), (), 20, (), Policy()))
    again = Job(3, (*first.prompt, *answer, 7, 8), (), 20, (), Policy())
    steps = steps_of(runner, again)
    assert said(steps, 3) == said(steps_of(loaded(), again), 3)
    drafted, accepted = shares(steps)
    assert accepted == drafted > 10


@pytest.mark.parametrize(
    ("family", "draft"), [("gemma3_text", "qwen3"), ("qwen3", "mamba2")], ids=str
)
def test_a_draft_model_wants_caches_that_can_be_cut(tiny_model, family, draft):
    folder, other = (str(tiny_model(each)) for each in (family, draft))
    with pytest.raises(ValueError, match="not supported"):
        load_runner(Load(folder, 8, 64, None, None, 1 << 24, draft=other))


async def test_a_model_with_other_tokens_is_refused(tiny_model, home):
    options = EngineOptions(draft=names.resolve("builtin:tiny").folder)
    async with EngineModel(tiny_model("qwen3"), "tiny", options=options, home=home) as model:
        with pytest.raises(DraftMismatch):
            await model.ready()


@pytest.mark.slow
async def test_the_whole_engine_says_the_same_with_any_draft(tiny_model, home):
    """The embedded model copies what it is told to write."""
    lines = "\n".join(f"def part_{n}(a, b):\n    return a + b" for n in range(4))
    ask = f"Create a file named parts.py with this content:\n```\n{lines}\n```"
    request = Request("tiny", (Message("user", (Text(ask),)),), tools=(WRITE,), max_tokens=300)
    folder = names.resolve("builtin:tiny").folder
    told = {}
    for draft in ("off", "lookup", folder):
        options = EngineOptions(draft=draft)
        async with EngineModel(folder, "tiny", options=options, home=home) as model:
            reply = await gather(model.stream(request))
            told[draft] = reply.message.tool_uses[0].arguments
            assert (model.stats.drafted_tokens > 0) is (draft != "off")
            assert (model.stats.accepted_tokens > 5) is (draft != "off")
    assert len(set(told.values())) == 1


def array(*tokens):
    return np.array(tokens, np.int32)


NONE = array()


@pytest.mark.parametrize(
    ("text", "hints", "wanted"),
    [
        (array(1, 2, 3, 4, 5, 1, 2, 3), NONE, [4, 5, 1, 2]),
        (array(1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3), NONE, [5, 1, 2, 3]),
        (array(9, 1, 2, 3, 4, 8, 1, 2, 3, 5, 9, 1, 2, 3), NONE, [4, 8, 1, 2]),
        (array(7, 7, 7, 7), NONE, [7, 7, 7, 7]),
        (array(1, 2, 3, 1, 2, 3), NONE, [1, 2, 3, 1]),
        (array(1, 2, 4, 5, 1, 2), NONE, []),
        (array(2, 3), array(1, 2, 3, 4), []),
        (array(1, 2, 3), array(1, 2, 3, 4, 5), [4, 5]),
        (array(1, 2, 3, 6, 1, 2, 3), array(1, 2, 3, 4, 5), [4, 5]),
        (array(1, 2, 3), array(1, 2, 3), []),
        (NONE, NONE, []),
    ],
    ids=str,
)
def test_what_came_before_is_proposed(text, hints, wanted):
    assert Lookup().propose(text, hints, 4) == wanted
    assert Lookup().prepare(text, hints) is bool(wanted)


def noted(wager, *, tokens_s, held, rounds):
    for _ in range(rounds):
        if length := wager.length:
            wager.note_draft(tokens_s * length, length, length if held else 0)
        else:
            wager.note_plain(0.01)


def test_before_a_step_was_measured_nothing_is_drafted():
    wager = Wager()
    wager.note_plain(None)
    assert wager.length == 0
    wager.note_plain(0.01)
    assert wager.length > 0


def test_drafts_that_hold_get_longer():
    wager = Wager()
    noted(wager, tokens_s=0.002, held=True, rounds=10)
    assert wager.length == MOST


def test_where_length_costs_nothing_drafts_are_long_from_the_first():
    wager = Wager(is_flat=True)
    wager.note_plain(0.01)
    longest = wager.length
    assert longest > MOST
    wager.note_draft(0.02, drafted=longest, accepted=3)
    assert wager.length == longest
    noted(wager, tokens_s=0.03, held=False, rounds=20)
    assert wager.length == 0


def test_drafts_that_fail_become_rare():
    wager = Wager()
    drafts = 0
    for _ in range(3000):
        drafts += wager.length > 0
        noted(wager, tokens_s=0.03, held=False, rounds=1)
    assert 5 < drafts < 20


def test_drafts_that_hold_but_cost_more_than_they_bring_become_rare_too():
    wager = Wager()
    noted(wager, tokens_s=0.03, held=True, rounds=500)
    assert wager.length == 0


@pytest.mark.parametrize(("seconds", "is_bearable"), [(0.0105, True), (0.02, False)])
def test_waiting_in_vain_is_borne_while_it_costs_little(seconds, is_bearable):
    wager = Wager()
    wager.note_plain(0.01)
    for _ in range(50):
        wager.note_vain(seconds)
    assert bool(wager.length) is is_bearable
    assert wager.plain_s == 0.01


def test_a_loss_makes_the_next_sequence_wait_and_a_gain_does_not():
    lost, won = Wager(), Wager()
    noted(lost, tokens_s=0.03, held=False, rounds=500)
    noted(won, tokens_s=0.002, held=True, rounds=50)
    for before, pause in ((lost, 100), (won, 0)):
        wager = Wager(before)
        noted(wager, tokens_s=0.002, held=True, rounds=pause + 1)
        assert bool(wager.length) is not pause
        noted(wager, tokens_s=0.002, held=True, rounds=40)
        assert wager.length


def test_one_step_that_took_long_is_no_reason_to_draft():
    wager = Wager()
    for seconds in (0.01, 0.01, 0.01, 3.0):
        wager.note_plain(seconds)
    assert wager.plain_s == 0.01


def test_after_a_pause_drafts_that_pay_are_back():
    wager = Wager()
    noted(wager, tokens_s=0.03, held=False, rounds=300)
    noted(wager, tokens_s=0.002, held=True, rounds=400)
    assert wager.length == MOST
