"""Sequences share steps, leave when done or dropped, and a failing one harms no other."""

import pytest

from mlxk.engine.inbox import Queued
from mlxk.engine.loop import EngineLoop, kind_of
from mlxk.engine.policy import Policy
from mlxk.engine.protocol import Abort, Add, Failed, Job, Step, Steps, Stop


class Countdown:
    """Says n, n-1, … 1 for the prompt (n,). Raises while `poison` says that it should."""

    def __init__(self, poison=lambda left: False, rows=8):
        self.space = 8
        self.left = {}
        self.batches = []
        self.poison = poison
        self.rows = rows

    def has_room(self, job):
        return len(self.left) < self.rows

    def tidy(self):
        return False

    def crowded(self):
        return max(self.left, default=None) if len(self.left) > self.space else None

    def add(self, job):
        self.left[job.uid] = job.prompt[0] - len(job.made)

    def remove(self, uid):
        self.left.pop(uid, None)

    def reset(self):
        self.left.clear()

    def step(self):
        if self.poison(self.left):
            raise RuntimeError("unlucky")
        self.batches.append(len(self.left))
        steps = [Step(uid, n, "stop" if n == 1 else None) for uid, n in self.left.items()]
        self.left = {uid: n - 1 for uid, n in self.left.items() if n > 1}
        return steps


def job(uid, n, client=None):
    return Job(uid, (n,), (), 99, (), Policy(), client=client)


def run(runner, *commands, later=None):
    """What each uid got, and the failures, after all the commands are through, of which `later`
    comes after the first step."""
    inbox, reports = Queued(), []
    loop = EngineLoop(runner, inbox, reports.append)
    for command in commands:
        inbox.put(command)

    coming = [later] if later else []

    def stop_when_idle(busy):
        if not busy and coming:
            inbox.put(coming.pop())
        elif not busy and not loop.active and not loop.queued:
            inbox.put(Stop())

    loop._around_step = stop_when_idle
    loop.run()
    steps = [step for report in reports if isinstance(report, Steps) for step in report.steps]
    tokens = {s.uid: [t.token for t in steps if t.uid == s.uid] for s in steps}
    return tokens, [report for report in reports if isinstance(report, Failed)]


def test_sequences_share_steps():
    runner = Countdown()
    tokens, _ = run(runner, Add(job(1, 3)), Add(job(2, 2)))
    assert tokens == {1: [3, 2, 1], 2: [2, 1]}
    assert runner.batches == [2, 2, 1]


def test_a_full_runner_keeps_the_rest_waiting():
    tokens, _ = run(Countdown(rows=1), Add(job(1, 3)), Add(job(2, 2)))
    assert tokens == {1: [3, 2, 1], 2: [2, 1]}


def test_a_client_with_many_requests_does_not_hold_up_another():
    many = [Add(job(uid, 3, "many")) for uid in range(1, 9)]
    tokens, _ = run(Countdown(rows=2), *many, Add(job(9, 3, "few")), Add(job(10, 3, "few")))
    assert [uid for uid in tokens] == [1, 9, 2, 10, 3, 4, 5, 6, 7, 8]


def test_an_aborted_sequence_makes_no_more_tokens():
    tokens, _ = run(Countdown(), Add(job(1, 3)), Add(job(2, 2)), Abort(1))
    assert tokens == {2: [2, 1]}


class Frail(Countdown):
    """Fails once when a sequence leaves, and always at what can wait."""

    def remove(self, uid):
        if self.batches[-1] > 1:
            self.batches.append(0)
            raise RuntimeError("unlucky")
        super().remove(uid)

    def tidy(self):
        raise RuntimeError("unlucky")


@pytest.mark.parametrize("others", [1, 2])
def test_who_stays_does_not_notice_that_leaving_failed(others):
    stay = [job(uid, 3) for uid in range(2, 2 + others)]
    tokens, failed = run(Frail(), Add(job(1, 9)), *map(Add, stay), later=Abort(1))
    assert tokens == {1: [9]} | {each.uid: [3, 2, 1] for each in stay}
    assert failed == []


def test_the_youngest_waits_again_when_memory_is_short():
    runner = Countdown()
    step = runner.step

    def shrinking():
        runner.space = 1 if len(runner.batches) >= 2 else 8
        runner.rows = runner.space
        return step()

    runner.step = shrinking
    tokens, failed = run(runner, Add(job(1, 5)), Add(job(2, 4)))
    assert tokens == {1: [5, 4, 3, 2, 1], 2: [4, 3, 2, 1]}
    assert runner.batches == [2, 2, 2, 1, 1, 1]
    assert failed == []


POISONS = {
    "at its first token": lambda left: 13 in left.values(),
    "in the middle": lambda left: 11 in left.values(),
    "only in company": lambda left: 13 in left.values() and len(left) > 1,
}


@pytest.mark.parametrize("poison", ["at its first token", "in the middle"])
def test_only_the_poison_gets_the_error(poison):
    runner = Countdown(POISONS[poison])
    tokens, failed = run(runner, Add(job(1, 6)), Add(job(2, 13)), Add(job(3, 5)))
    assert tokens[1] == [6, 5, 4, 3, 2, 1]
    assert tokens[3] == [5, 4, 3, 2, 1]
    assert failed == [Failed(2, "engine_failed", "unlucky")]


def test_what_fails_only_in_company_is_run_alone():
    runner = Countdown(POISONS["only in company"])
    tokens, failed = run(runner, Add(job(1, 3)), Add(job(2, 13)))
    assert tokens == {1: [3, 2, 1], 2: list(range(13, 0, -1))}
    assert failed == []


def test_a_batch_that_always_fails_ends_one_by_one():
    runner = Countdown(lambda left: len(left) > 1)
    tokens, failed = run(runner, *(Add(job(uid, 3)) for uid in (1, 2, 3)))
    assert tokens == {uid: [3, 2, 1] for uid in (1, 2, 3)}
    assert failed == []


def test_memory_errors_have_their_own_kind():
    assert kind_of(RuntimeError("[metal::malloc] Attempting to allocate")) == "out_of_memory"
    assert kind_of(ValueError("shapes")) == "engine_failed"
