"""Uploads against a hub on localhost: what differs, never a secret, only what is healthy."""

import hub_cache as build
import pytest

from mlxk.cli import storage
from mlxk.contract.errors import (
    HubError,
    HubNotFound,
    HubUnauthorized,
    ModelUnhealthy,
    NotFound,
    UnsafePath,
    UsageError,
)
from mlxk.contract.notes import collecting
from mlxk.hub.contents import Contents

FILES = build.model()
# huggingface_hub's own call into httpx.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "w"
    write(folder, FILES)
    return folder


@pytest.fixture
def hub(hub_server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub_server.token)
    return hub_server


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def push(folder, **options):
    return storage.push(folder, "me/m", **{"private": True, "create": True, **options})


def remote(hub, branch="main"):
    repo = hub.repos["me/m"]
    return {k: v for k, v in repo.commits[repo.refs[branch]].items() if k != ".gitattributes"}


def test_a_new_private_repository_holds_exactly_the_workspace(hub, workspace):
    value = push(workspace)
    assert remote(hub) == FILES
    assert hub.repos["me/m"].private
    assert value.commit_sha == hub.repos["me/m"].refs["main"]
    assert (value.uploaded_files_count, value.no_changes) == (len(FILES), False)
    assert value.added_files == tuple(sorted(FILES))


def test_a_second_push_changes_nothing(hub, workspace):
    push(workspace)
    value = push(workspace)
    assert (value.no_changes, value.commit_sha, value.uploaded_files_count) == (True, None, 0)
    assert len(hub.repos["me/m"].commits) == 2


def test_only_what_differs_is_uploaded(hub, workspace):
    push(workspace)
    write(workspace, {"README.md": b"# new", "config.json": FILES["config.json"] + b" "})
    (workspace / "tokenizer_config.json").unlink()
    value = push(workspace)
    assert value.change_summary == value.change_summary.__class__(1, 1, 1)
    assert "README.md" in remote(hub)
    assert "tokenizer_config.json" not in remote(hub)


def test_a_dry_run_says_it_all_and_does_nothing(hub, workspace):
    push(workspace)
    write(workspace, {"README.md": b"# new"})
    value = push(workspace, dry_run=True)
    assert (value.dry_run_summary.added, value.dry_run, value.commit_sha) == (1, True, None)
    assert "README.md" not in remote(hub)
    assert hub.count("/commit/", "POST") == 1


def test_a_check_asks_nobody(hub_server, workspace):
    value = push(workspace, check_only=True)
    assert (value.local_files_count, value.no_changes) == (len(FILES), None)
    assert hub_server.requests == []


SECRETS = {
    ".env": b"X=1",
    ".env.local": b"X=1",
    "prod.env": b"X=1",
    "id_rsa": b"key",
    "server.pem": b"key",
    "keys/private.key": b"key",
    ".git/config": b"[remote]",
    "venv/lib/x.py": b"",
    "my-env/pyvenv.cfg": b"home = /usr",
    "my-env/bin/python.py": b"",
    "__pycache__/x.cpython-311.pyc": b"",
    "sub/x.pyc": b"",
    "sub/.DS_Store": b"",
    ".netrc": b"machine x",
    ".aws/credentials": b"x",
    ".hfignore": b"!.env\n!*.pem\n",
}


def test_keys_environments_and_rubbish_never_leave(hub, workspace):
    write(workspace, SECRETS)
    push(workspace)
    assert remote(hub) == FILES


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN RSA PRIVATE KEY-----\nMIIE",
        b"token = hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
        b'{"aws": "AKIAIOSFODNN7EXAMPLE"}',
        b"ghp_0123456789abcdefghijklmnopqrstuvwxyzAB",
    ],
    ids=["private key", "hub token", "cloud key", "git token"],
)
def test_a_file_that_holds_a_secret_stops_everything(hub, workspace, text):
    write(workspace, {"notes/readme.txt": text})
    with pytest.raises(UnsafePath) as caught:
        push(workspace)
    assert caught.value.details["files"] == ["notes/readme.txt"]
    assert hub.requests == []
    write(workspace, {".hfignore": b"notes/\n"})
    push(workspace)
    assert remote(hub) == FILES


def test_a_link_out_of_the_workspace_is_not_followed(hub, workspace, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (workspace / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(ModelUnhealthy, match="leaves the folder"):
        push(workspace)
    with collecting() as notes:
        push(workspace, force=True)
    assert remote(hub) == FILES
    assert [n.code for n in notes] == ["not_uploaded"]


def test_files_that_are_never_uploaded_are_never_deleted(hub, workspace):
    hub.add("me/m", {**FILES, ".env": b"theirs", ".gitattributes": b"*.bin lfs"}, private=True)
    push(workspace)
    assert remote(hub)[".env"] == b"theirs"


def test_files_that_the_ignore_file_names_are_not_deleted(hub, workspace):
    theirs = {"notes/a.txt": b"theirs", "eval.json": b"{}", "old.txt": b"x"}
    hub.add("me/m", {**FILES, **theirs}, private=True)
    write(workspace, {".hfignore": b"notes/\neval.json\n", "eval.json": b"mine"})
    assert push(workspace).deleted_files == ("old.txt",)
    assert remote(hub).keys() == {*FILES, "notes/a.txt", "eval.json"}


def test_files_that_cannot_be_read_here_are_not_deleted_there(hub, workspace, tmp_path):
    hub.add("me/m", {**FILES, "LICENSE": b"theirs", "assets/x.png": b"x"}, private=True)
    (workspace / "LICENSE").symlink_to("nowhere")
    (workspace / "assets").symlink_to(tmp_path)
    assert push(workspace, force=True).deleted_files == ()
    assert remote(hub)["LICENSE"] == b"theirs"


def test_a_folder_that_cannot_be_listed_never_empties_the_repository(hub, workspace, monkeypatch):
    hub.add("me/m", FILES, private=True)
    unreadable = Contents(workspace, (), "weights: permission denied")
    monkeypatch.setattr("mlxk.hub.push.scan", lambda _: unreadable)
    with pytest.raises(ModelUnhealthy, match="cannot be read"):
        push(workspace, force=True)
    assert remote(hub) == FILES


def test_a_public_repository_is_mentioned(hub, workspace):
    hub.add("me/m")
    with collecting() as notes:
        push(workspace, dry_run=True)
    assert [n.code for n in notes] == ["remote_is_public"]


def test_another_branch_is_made_when_asked(hub, workspace):
    push(workspace, branch="dev")
    assert remote(hub, "dev") == FILES
    assert remote(hub) == {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"create": False}, HubNotFound),
        ({"private": False}, UsageError),
    ],
    ids=["no such repository", "not said to be private"],
)
def test_a_refusal_says_what_to_type(hub, workspace, options, expected):
    with pytest.raises(expected) as caught:
        push(workspace, **options)
    assert "--" in caught.value.hint


@pytest.mark.parametrize(
    ("pattern", "method", "expected"),
    [("/lfs/", "PUT", HubError), ("/commit/", "POST", HubError), ("/objects/", "POST", HubError)],
    ids=["upload", "commit", "batch"],
)
def test_a_hub_that_fails_is_a_hub_error(hub, workspace, pattern, method, expected):
    hub.fail(pattern, 418, method=method, times=9)
    with pytest.raises(expected):
        push(workspace)
    assert remote(hub) == {}


def test_without_a_token_nothing_is_sent(hub_server, workspace):
    with pytest.raises(HubUnauthorized):
        push(workspace)
    assert hub_server.requests == []


def test_a_wrong_token_is_unauthorized(hub_server, workspace, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubUnauthorized):
        push(workspace)


def test_an_unhealthy_workspace_needs_force(hub, workspace):
    (workspace / "tokenizer.json").unlink()
    with pytest.raises(ModelUnhealthy):
        push(workspace)
    assert not push(workspace, force=True).workspace_health.healthy


def test_what_is_not_there_cannot_be_pushed(hub, tmp_path):
    with pytest.raises(NotFound):
        push(tmp_path / "nothing")
