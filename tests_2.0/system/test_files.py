import errno
import fcntl
from contextlib import contextmanager

import pytest

from mlxk.contract.errors import DiskFull, PermissionDenied
from mlxk.system.files import is_locked, locked, reflink, translated


@contextmanager
def shared(path):
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def test_a_lock_is_seen_while_it_is_held(tmp_path):
    path = tmp_path / "x.lock"
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)
        assert is_locked(path, by_readers=True)
    assert not is_locked(path)


def test_a_shared_lock_counts_when_asked(tmp_path):
    path = tmp_path / "x.lock"
    with shared(path):
        assert not is_locked(path)
        assert is_locked(path, by_readers=True)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, DiskFull), (errno.EACCES, PermissionDenied), (errno.ENOENT, FileNotFoundError)],
    ids=["full", "forbidden", "not there"],
)
def test_what_the_disk_says_is_an_error_to_act_on(tmp_path, number, expected):
    with pytest.raises(expected), translated(tmp_path):
        raise OSError(number, "x")


def test_a_failed_read_is_not_called_a_write(tmp_path):
    with pytest.raises(PermissionDenied, match="cannot use"), translated(tmp_path):
        raise PermissionError(errno.EACCES, "x")


def test_a_file_is_shared_whole_or_not_at_all(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"x" * 70_000)
    with source.open("rb") as read, target.open("wb") as write:
        shared = reflink(read.fileno(), write.fileno())
    assert target.read_bytes() == (source.read_bytes() if shared else b"")
