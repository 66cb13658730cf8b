"""Bring a session's work to a branch of the user's, under the user's own name, and take it back."""

from datetime import datetime
from typing import Literal

from mlxk.agent.transcript import from_lines
from mlxk.contract.errors import DirtyMerge, InvalidValue, Locked, MlxkError
from mlxk.history.identity import user_identity
from mlxk.history.land import Landed, Order, land
from mlxk.history.record import Place, Record
from mlxk.history.signing import signer
from mlxk.history.store import Store
from mlxk.history.target import require_clean
from mlxk.history.unland import Order as Undoing
from mlxk.history.unland import unland

_SUBJECT = 72


def ready(store: Store) -> None:
    """A landing on what is checked out that cannot work is refused before any work is done:
    InvalidValue, DirtyMerge or Locked.
    """
    error = hindrance(store)
    if isinstance(error, DirtyMerge):
        error.hint = "commit them first; or leave out --land, and later: mlxk branch land NAME"
    if error is not None:
        raise error


def hindrance(store: Store) -> MlxkError | None:
    """Why nothing could land now on what is checked out; None when it could."""
    try:
        _author(store)
        branch = store.head_name()
        if branch is None:
            return InvalidValue("HEAD is on no branch to land on", hint="git switch -c NAME")
        if not store.is_own:  # what is uncommitted there is committed when something lands
            require_clean(store, branch)
    except (InvalidValue, DirtyMerge, Locked) as e:
        return e
    return None


def _author(store: Store) -> str:
    if author := user_identity(store.config):
        return author
    if store.is_own:
        return "you <you@localhost>"
    hint = "git config --global user.name NAME, and user.email"
    raise InvalidValue("your git configuration names nobody to commit as", hint=hint)


def bring(
    store: Store,
    place: Place,
    when: datetime,
    *,
    into: str | None = None,
    new: str | None = None,
    how: Literal["squash", "merge"] = "squash",
    sign: bool = True,
) -> Landed:
    """Onto `into` (default: the branch that is checked out), or a `new` one.

    The commit says what was asked for; with `sign` it is signed if the user signs theirs.
    InvalidValue without an identity or a branch to land on; MergeConflict, DirtyMerge and
    SigningFailed change nothing.
    """
    author = _author(store)
    branch = new or into or store.head_name()
    if branch is None:
        raise InvalidValue("HEAD is on no branch", hint="--into BRANCH or --branch NEW")
    asked = [m.text for m in from_lines(place.lines()) if m.role == "user"]
    subject = " ".join(asked[0].split()) if asked else f"land {place.record.branch}"
    short = subject if len(subject) <= _SUBJECT else subject[: _SUBJECT - 1] + "…"
    body = "\n\n".join(asked) if len(asked) > 1 or short != subject else ""
    signs = signer(store.config, author) if sign else None
    # What is checked out has no commit yet; a store of our own makes its first when it lands.
    is_first = into is None and store.head() is None and not store.is_own
    create = new is not None or is_first
    order = Order(place, branch, author, when, short, body, how, create, signs)
    return land(store, order)


def take_back(
    store: Store, record: Record, when: datetime, *, out_of: str | None = None, sign: bool = True
) -> Landed:
    """The session's last landing on `out_of` (default: the branch that is checked out)."""
    author = _author(store)
    branch = out_of or store.head_name()
    if branch is None:
        raise InvalidValue("HEAD is on no branch", hint="--from BRANCH")
    signs = signer(store.config, author) if sign else None
    return unland(store, Undoing(record, branch, author, when, signs))
