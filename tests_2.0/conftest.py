"""The only conftest: homes, caches, repositories, and a scripted model."""

import os
import signal
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import settings

# A job in the background ignores SIGINT, and so would the children that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.append(str(Path(__file__).parent / "support"))
# CI tries the same examples each time; people try new ones.
settings.register_profile("ci", derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
EXAMPLES = Path(__file__).parent.parent / "schemas" / "examples"


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="Rewrite schemas/examples.")


@pytest.fixture
def golden(request):
    """Compare JSON lines with a published example, or rewrite it."""

    def check(name, lines):
        path = EXAMPLES / name
        text = b"".join(orjson.dumps(x, option=orjson.OPT_APPEND_NEWLINE) for x in lines)
        if request.config.getoption("--update-golden"):
            path.write_bytes(text)
        assert path.read_bytes() == text

    return check


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty `$MLXK_HOME` and an empty Hugging Face home; nothing of the user is seen."""
    root = tmp_path / "home"
    root.mkdir()
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("MLXK_HOME", str(root / ".mlxk"))
    monkeypatch.setenv("HF_HOME", str(root / "hf"))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "MLXK_WORKSPACE_HOME", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def hub_cache(home):
    """A builder of layout-exact caches, at the place where mlxk looks."""
    from hub_cache import HubCache

    return HubCache(home / "hf" / "hub")


@pytest.fixture
def store(repo, home):
    """The history of the test's own `repo`."""
    from mlxk.history.store import Store

    with Store.open(repo.root, home / ".mlxk") as store:
        yield store


@pytest.fixture
async def serve():
    """Serve a model, or a mapping of them; gives a client session with the server as its base."""
    from serving import Servers, stack

    async with stack() as opened:
        yield Servers(opened)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """`tiny_model("qwen3")`: a folder with random weights of that architecture, built once."""
    from tiny_models import build

    root = tmp_path_factory.mktemp("models")

    def folder(family, **options):
        path = root / "-".join([family, *map(str, options.values())])
        return path if path.exists() else build(path, family, **options)

    return folder


@pytest.fixture
def hub_server(home, monkeypatch):
    """A Hugging Face Hub on localhost that this process and its children talk to."""
    import huggingface_hub.constants
    from hub_server import Hub

    hub = Hub()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(home / "token"))
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield hub
    hub.close()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """`mlxk serve builtin:tiny` as a process, for all tests that only ask it."""
    import os

    from processes import Server

    home = str(tmp_path_factory.mktemp("tiny"))
    env = os.environ | {"HOME": home, "MLXK_HOME": home, "HF_HOME": home}
    server = Server("builtin:tiny", "--port", "auto", env=env).ready()
    yield server
    server.close()
