"""Landed commits are signed as the user's git signs them, and git accepts the signature."""

import shutil
import subprocess

import pytest
from git_repository import WHEN, GitRepository
from sessions import started

from mlxk.contract.errors import SigningFailed
from mlxk.history.land import Order, land
from mlxk.history.signing import signer
from mlxk.history.store import Store

ME = "Me <me@localhost>"
needs = {
    name: pytest.mark.skipif(shutil.which(name) is None, reason=f"needs {name}")
    for name in ("ssh-keygen", "gpg")
}


@pytest.fixture
def repo(tmp_path, home):
    repo = GitRepository(tmp_path / "repo")
    repo.write("a", "one\n")
    repo.commit("first")
    repo.git("config", "commit.gpgSign", "true")
    return repo


def landed(repo, home):
    """A session with one file, landed with a signer made from the configuration."""
    with started(repo, home) as session:
        (session.worktree / "new").write_text("1\n")
        session.append(b"x\n", when=WHEN, paths=["new"])
        place = session.record.at(1)
    with Store.open(repo.root, home / ".mlxk") as store:
        sign = signer(store.config, ME)
        return land(store, Order(place, "main", ME, WHEN, sign=sign))


@pytest.fixture
def ssh_key(tmp_path):
    key = tmp_path / "key"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(argv, check=True)
    return key


@needs["ssh-keygen"]
def test_with_an_ssh_key(repo, home, tmp_path, ssh_key):
    repo.git("config", "gpg.format", "ssh")
    repo.git("config", "user.signingKey", str(ssh_key))
    public = ssh_key.with_suffix(".pub").read_text()
    (tmp_path / "allowed").write_text(f"me@localhost {public}")
    repo.git("config", "gpg.ssh.allowedSignersFile", str(tmp_path / "allowed"))
    landed(repo, home)
    assert repo.git("log", "-1", "--format=%G?|%GS|%an", "main") == "G|me@localhost|Me"
    assert repo.git("log", "-1", "--format=%G?", "mlxk/try") == "N"
    assert repo.fsck() == ""


@needs["gpg"]
def test_with_a_gpg_key(repo, home, tmp_path, monkeypatch):
    keys = tmp_path / "gnupg"
    keys.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(keys))
    argv = ["gpg", "--batch", "-q", "--passphrase", "", "--quick-gen-key", ME, "ed25519", "sign"]
    subprocess.run(argv, check=True, capture_output=True)
    try:
        landed(repo, home)
        assert repo.git("log", "-1", "--format=%G?", "main") == "G"
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False, capture_output=True)
    assert repo.fsck() == ""


@pytest.mark.parametrize(
    "settings",
    [
        {"gpg.format": "ssh"},
        {"gpg.format": "ssh", "user.signingKey": "/no/such/key"},
        {"gpg.format": "tattoo"},
        {"gpg.program": "/no/such/gpg"},
        {"gpg.program": "false"},
        {"gpg.program": "true"},
    ],
    ids=str,
)
def test_what_is_missing_is_said_before_anything_is_written(repo, home, settings):
    for name, value in settings.items():
        repo.git("config", name, value)
    before = repo.footprint()
    with pytest.raises(SigningFailed) as caught:
        landed(repo, home)
    assert "--no-sign" in caught.value.hint
    assert repo.footprint() == before


def test_who_does_not_sign_is_not_made_to(repo, home):
    repo.git("config", "commit.gpgSign", "false")
    repo.git("config", "gpg.program", "/no/such/gpg")
    landed(repo, home)
    assert repo.git("log", "-1", "--format=%G?", "main") == "N"
