"""What a command that listens reads from its line: the key that a file holds."""

import os
import threading

import pytest

from mlxk.cli.listen import key_in
from mlxk.contract.errors import InvalidValue, MlxkError, NotFound


def put(path, data=b"sesame\n", mode=0o600):
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_a_key_is_read_from_a_file_that_is_not_everybodys(tmp_path, mode):
    assert key_in(put(tmp_path / "key", mode=mode)) == "sesame"


@pytest.mark.parametrize("mode", [0o644, 0o444, 0o620, 0o602, 0o666])
def test_a_key_that_others_may_read_or_change_is_refused(tmp_path, mode):
    with pytest.raises(InvalidValue) as refused:
        key_in(put(tmp_path / "a key", mode=mode))
    assert refused.value.hint == f"chmod 600 '{tmp_path}/a key'"


@pytest.mark.parametrize(
    "data",
    [b"", b" \n", b"two words", b"two\nlines", b"\xff\xfe", b"x" * 5000, "schlüssel".encode()],
)
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path, data):
    with pytest.raises(InvalidValue, match="holds no key") as refused:
        key_in(put(tmp_path / "key", data))
    assert "two" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(MlxkError, match=str(tmp_path)) as refused:
            key_in(path)
        assert isinstance(refused.value, NotFound)


def test_a_key_may_come_through_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"sesame\n",))
    writer.start()
    assert key_in(tmp_path / "pipe") == "sesame"
    writer.join()
