"""Sessions for tests, opened and closed together with their store."""

from contextlib import contextmanager

from git_repository import WHEN

from mlxk.history.session import Session
from mlxk.history.store import Store


@contextmanager
def started(repo, home, **options):
    with (
        Store.open(repo.root, home / ".mlxk") as store,
        Session.create(store, b"{}", name="try", when=WHEN, **options) as session,
    ):
        yield session
