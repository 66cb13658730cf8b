"""The planner is pure: the same documents and world give the same plan, and a plan is enough."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.deploy import backoff, document, plan
from mlxk.deploy.document import Restart
from mlxk.deploy.plan import Observed, Target, Wish
from mlxk.deploy.record import Attempt, Record

ONE = document.parse({"name": "one", "model": "a/b"})


def target(name="one", memory=1.0, autostart="always", **more):
    made = document.parse({"name": name, "model": "a/b", "autostart": autostart})
    return Target(name, made, memory_gb=memory, **more)


def alive(name="one", digest=None):
    return {name: Observed(True, digest or target(name).deployment.digest, is_desired=True)}


@pytest.mark.parametrize(
    ("targets", "world", "wish", "expected"),
    [
        ([target()], {}, Wish(), ("start", "stopped")),
        ([target()], alive(), Wish(), ("keep", "same")),
        ([target()], alive(digest="old"), Wish(), ("restart", "document_changed")),
        ([target()], alive(), Wish(again=True), ("restart", "user")),
        ([target()], {"one": Observed(is_desired=True)}, Wish(), ("start", "crashed")),
        ([target()], {"one": Observed(is_held=True, is_desired=True)}, Wish(), ("skip", "held")),
        ([target()], {"one": Observed(is_held=True)}, Wish(clear=True), ("start", "stopped")),
        ([target(has_model=False)], {}, Wish(), ("skip", "model_missing")),
        ([target(has_model=False)], alive(), Wish(), ("keep", "same")),
        ([target(autostart="manual")], {}, Wish(), ("skip", "manual")),
        ([target(autostart="on-demand")], {}, Wish(), ("skip", "on_demand")),
        ([target(autostart="manual")], {}, Wish(named=True), ("start", "stopped")),
        ([Target("one", None, problem="x")], {}, Wish(), ("skip", "invalid_document")),
        ([target(memory=9)], {}, Wish(budget_gb=8), ("skip", "over_budget")),
        ([target(memory=None)], {}, Wish(budget_gb=8), ("start", "stopped")),
    ],
    ids=lambda v: str(v)[:40],
)
def test_a_deployment_gets_a_step_with_a_reason(targets, world, wish, expected):
    (step,) = plan.up(tuple(targets), world, wish)
    assert (step.action, step.reason) == expected


def test_the_largest_starts_first():
    steps = plan.up((target("a", 1), target("b", 3), target("c", 2)), {})
    assert [step.name for step in steps] == ["b", "c", "a"]


def test_what_runs_counts_against_the_budget():
    parts = (target("a", 5), target("b", 4))
    steps = plan.up(parts, alive("b"), Wish(budget_gb=8))
    assert {s.name: s.action for s in steps} == {"a": "skip", "b": "keep"}


@pytest.mark.parametrize(
    ("seen", "action"),
    [(Observed(True), "stop"), (Observed(is_desired=True), "stop"), (Observed(), "keep")],
    ids=str,
)
def test_down_stops_what_runs_or_is_wanted(seen, action):
    (step,) = plan.down(("one",), {"one": seen})
    assert step.action == action


names = st.sampled_from(["a", "b", "c", "d"])
worlds = st.dictionaries(
    names,
    st.builds(
        Observed, st.booleans(), st.sampled_from([None, "old"]), st.booleans(), st.booleans()
    ),
)
wishes = st.builds(Wish, st.booleans(), clear=st.booleans(), budget_gb=st.sampled_from([None, 5.0]))
targets = st.lists(
    st.builds(
        target,
        names,
        st.sampled_from([None, 1.0, 3.0, 9.0]),
        st.sampled_from(["always", "manual", "on-demand"]),
        has_model=st.booleans(),
    ),
    unique_by=lambda t: t.name,
).map(tuple)


def after(world, steps, wanted):
    """The world when every step of a plan was carried out."""
    digests = {t.name: t.deployment.digest for t in wanted}
    done = dict(world)
    for step in steps:
        if step.action in ("start", "restart", "keep"):
            done[step.name] = Observed(True, digests[step.name], is_desired=True)
    return done


@given(targets, worlds, wishes)
def test_a_plan_carried_out_leaves_nothing_to_start(wanted, world, wish):
    first = plan.up(wanted, world, wish)
    second = plan.up(wanted, after(world, first, wanted), wish)
    assert {s.action for s in second} <= {"keep", "skip"}
    kept = {s.name for s in first if s.action != "skip"}
    assert {s.name for s in second if s.action == "keep"} == kept


@given(targets, worlds, wishes)
def test_a_plan_does_not_depend_on_the_order_of_documents(wanted, world, wish):
    assert plan.up(wanted, world, wish) == plan.up(wanted[::-1], world, wish)
    assert len(plan.up(wanted, world, wish)) == len(wanted)


POLICY = Restart(max=3, window_s=100, base_s=1, cap_s=8, stable_s=50)
CRASHED = Record("one", desired="running")


def decide(known, now, policy=POLICY, boot="boot"):
    return backoff.decide(policy, known, now, boot)


def test_the_first_restart_is_at_once_and_the_next_ones_wait_longer():
    known, now = CRASHED, 1000.0
    pauses = []
    while (found := decide(known, now)).action != "hold":
        if found.action == "wait":
            pauses.append(found.at - now)
            now = found.at
        known = backoff.tried(POLICY, known, now, "boot")
    assert pauses == [1, 2]
    assert len(known.restarts) == POLICY.max


def test_the_pause_doubles_from_base_to_cap():
    assert [backoff.delay(POLICY, n) for n in range(1, 7)] == [1, 2, 4, 8, 8, 8]
    assert backoff.delay(POLICY, 10**6) == 8


def test_old_restarts_do_not_count():
    known = replace(CRASHED, restarts=tuple(Attempt(float(i), "boot") for i in range(3)))
    assert decide(known, 50.0).action == "hold"
    assert decide(known, 500.0).action == "start"


def test_being_ready_for_long_enough_forgets_the_failures():
    known = replace(CRASHED, restarts=(Attempt(1.0, "boot"),), next_try_at=2.0, ready_at=10.0)
    assert backoff.settled(POLICY, known, 59.0) is known
    assert backoff.settled(POLICY, known, 60.0).restarts == ()


def test_what_is_held_stays_held_until_it_is_cleared():
    known = replace(CRASHED, held=True)
    assert decide(known, 1e9).action == "hold"
    assert decide(backoff.cleared(known), 1e9).action == "start"


def test_a_policy_of_never_is_kept():
    assert decide(CRASHED, 1.0, replace(POLICY, policy="never")).action == "hold"


def test_two_unclean_boots_in_half_an_hour_hold():
    known = replace(CRASHED, restarts=(Attempt(1000.0, "b1"), Attempt(1500.0, "b2")))
    assert decide(known, 2000.0, boot="b3").action == "hold"
    assert decide(known, 2900.0, boot="b3").action != "hold"
