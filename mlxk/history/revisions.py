"""A commit by any name: a place in a session, or one of the user's. Never writes."""

import re
from itertools import repeat

from dulwich.objectspec import AmbiguousShortId, parse_commit

from mlxk.contract.errors import AmbiguousMatch, SessionNotFound
from mlxk.history.record import find
from mlxk.history.store import Store

_ANCESTOR = re.compile(r"([~^])(\d*)")
_SPEC = re.compile(r"(.*?)((?:[~^]\d*)*)", re.DOTALL)


def code(store: Store, spec: str) -> str:
    """The code commit of a session's place; else the commit that a branch, tag or hash of the
    user's names, `~2` and `^2` included. SessionNotFound, AmbiguousMatch.
    """
    try:
        return find(store, spec).code
    except SessionNotFound as unknown:
        try:
            return _users(store, spec)
        except AmbiguousShortId as e:
            raise AmbiguousMatch(f"{spec!r} matches several commits", matches=[]) from e
        except (KeyError, ValueError, IndexError) as e:
            raise SessionNotFound(
                f"no session and no commit matches {spec!r}", spec=spec, hint=unknown.hint
            ) from e


def _users(store: Store, spec: str) -> str:
    found = _SPEC.fullmatch(spec)
    name, way = found.groups() if found else (spec, "")
    commit = parse_commit(store.repo, name.encode())
    for kind, number in _ANCESTOR.findall(way):
        count = int(number or 1)
        if kind == "~":
            for _ in repeat(None, count):
                commit = parse_commit(store.repo, commit.parents[0])
        elif count:
            commit = parse_commit(store.repo, commit.parents[count - 1])
    return commit.id.decode()
