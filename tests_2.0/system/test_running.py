"""A server is found by those of its home; a home that cannot be written does not stop it."""

from mlxk.contract.notes import collecting
from mlxk.system import paths
from mlxk.system.running import Running, announced

HERE = Running("http://127.0.0.1:1", None, {"m": "/m"})


def test_a_server_is_announced_as_long_as_it_serves(home):
    folder = paths.home() / "servers"
    with announced(HERE):
        assert len(list(folder.iterdir())) == 1
    assert not list(folder.iterdir())


def test_a_home_that_cannot_be_written_does_not_stop_a_server(home):
    paths.home().mkdir()
    (paths.home() / "servers").write_text("in the way")
    with collecting() as notes, announced(HERE) as tell:
        tell(HERE)
    assert [entry.code for entry in notes] == ["unannounced"]
