"""The tree of futures: what began where, what forked, what landed."""

import pytest
from git_repository import WHEN, GitRepository

from mlxk.contract.notes import collecting
from mlxk.history import graph, trash
from mlxk.history.land import Order, land
from mlxk.history.record import records
from mlxk.history.session import Session


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    repo.write("a", "one\n")
    repo.commit("first")
    return repo


@pytest.fixture
def first(store):
    with Session.create(store, b"{}", name="first", when=WHEN) as session:
        for number in (1, 2):
            (session.worktree / "new").write_text(f"{number}\n")
            session.append(b"%d\n" % number, when=WHEN, paths=["new"])
    return session.record


@pytest.fixture
def fork(store, first):
    with Session.fork(store, first.at(1), b"{}", name="fork", when=WHEN) as session:
        session.append(b"x\n", when=WHEN)
    return session.record


def drawn(store):
    """Every edge as (kind, from, to): a branch and a step, or what a commit of the user says."""
    found = graph.of(store, records(store))
    nodes = {node.id: node for node in found.nodes}
    order = list(nodes)
    assert all(order.index(edge.source) < order.index(edge.target) for edge in found.edges)
    return sorted((e.kind, named(nodes[e.source]), named(nodes[e.target])) for e in found.edges)


def named(node):
    return node.subject if node.kind == "base" else f"{node.branch} {node.step}"


def test_a_fork_leaves_from_its_step_and_the_past_is_drawn_once(store, first, fork):
    assert drawn(store) == [
        ("begin", "first", "mlxk/first 0"),
        ("fork", "mlxk/first 1", "mlxk/fork 1"),
        ("step", "mlxk/first 0", "mlxk/first 1"),
        ("step", "mlxk/first 1", "mlxk/first 2"),
        ("step", "mlxk/fork 1", "mlxk/fork 2"),
    ]


@pytest.mark.parametrize("how", ["squash", "merge"])
def test_a_landing_is_an_edge_to_a_commit_of_the_users(repo, store, first, how):
    repo.commit("meanwhile")
    land(store, Order(first.at(1), "main", "Me <me@localhost>", WHEN, how=how))
    repo.commit("afterwards")
    landings = [edge for edge in drawn(store) if edge[0] == "landing"]
    assert landings == [("landing", "mlxk/first 1", "main 1")]


def test_the_past_of_a_removed_session_stays_in_its_forks(store, first, fork):
    trash.discard(store, first, WHEN)
    assert ("fork", "mlxk/first 1", "mlxk/fork 1") in drawn(store)
    assert ("step", "mlxk/first 1", "mlxk/first 2") not in drawn(store)


def test_a_family_shares_its_first_step(store, first, fork):
    Session.create(store, b"{}", name="stranger", when=WHEN).close()
    assert {r.name for r in graph.family(store, fork)} == {"first", "fork"}


def test_a_damaged_session_is_noted_and_hides_no_other(repo, store, first, home):
    with Session.create(store, b"{}", name="well", when=WHEN) as well:
        well.append(b"x\n", when=WHEN)
    repo.git("update-ref", f"refs/mlxk/sessions/{first.id}", first.base)
    with collecting() as notes:
        assert ("step", "mlxk/well 0", "mlxk/well 1") in drawn(store)
    assert "damaged_session" in {n.code for n in notes}
