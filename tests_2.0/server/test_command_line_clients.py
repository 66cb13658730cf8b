"""Claude Code, Codex and Gemini CLI, unchanged, each creating a file through its own tool.

`npm install --prefix tests_2.0/clients` puts them where they are looked for.
"""

import asyncio
import os
import shutil
from pathlib import Path

import orjson
import pytest
from file_writer import HELLO, FileWriter

INSTALLED = Path(__file__).parent.parent / "clients" / "node_modules" / ".bin"
PROMPT = "Create a file hello.txt containing Hello world"


def program(name):
    found = shutil.which(name, path=f"{INSTALLED}{os.pathsep}{os.environ['PATH']}")
    return found or pytest.skip(f"{name} is not installed")


class Client:
    """A client program in a project of its own, with a home of its own."""

    def __init__(self, tmp_path, url):
        self.home, self.project, self.url = tmp_path / "home", tmp_path / "project", url
        self.home.mkdir()

    async def run(self, *argv, **env):
        inherited = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "xterm-256color"}
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=self.project,
            env=inherited | env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), 90)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, err.decode()
        return out

    @property
    def written(self):
        return (self.project / "hello.txt").read_text()


@pytest.fixture
async def client(serve, tmp_path):
    (tmp_path / "project").mkdir()
    model = FileWriter(tmp_path / "project")
    http = await serve({"tiny": model})
    one = Client(tmp_path, str(http._base_url).rstrip("/"))
    one.model = model
    return one


async def test_claude_code(client):
    out = await client.run(
        program("claude"),
        *("-p", PROMPT, "--model", "tiny", "--output-format", "json"),
        *("--permission-mode", "acceptEdits", "--tools", "Bash,Edit,Read,Write"),
        ANTHROPIC_BASE_URL=client.url,
        ANTHROPIC_AUTH_TOKEN="none",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
    )
    said = orjson.loads(out)
    assert client.written == HELLO
    assert (said["subtype"], said["result"], said["num_turns"]) == ("success", "It is done.", 2)
    assert said["usage"]["cache_read_input_tokens"] == 10
    assert len(client.model.requests) == 2
    first = client.model.requests[0].messages[0]
    assert "billing" not in first.text


@pytest.mark.parametrize("socket", [False, True], ids=["events", "socket"])
async def test_codex(client, socket):
    """Over a socket it warms up first: a request that is read and not answered."""
    more = ",supports_websockets=true" if socket else ""
    provider = f'{{name="mlxk",base_url="{client.url}/v1",wire_api="responses"{more}}}'
    out = await client.run(
        program("codex"),
        *("exec", "--json", "--skip-git-repo-check", "--ignore-user-config"),
        *("--dangerously-bypass-approvals-and-sandbox", "-m", "tiny"),
        *("-c", 'model_provider="mlxk"', "-c", f"model_providers.mlxk={provider}"),
        PROMPT,
    )
    events = [orjson.loads(line) for line in out.splitlines()]
    assert client.written == HELLO
    said = [e["item"]["text"] for e in events if e.get("item", {}).get("type") == "agent_message"]
    assert said == ["I write it.", "It is done."]
    assert events[-1]["type"] == "turn.completed"
    assert events[-1]["usage"]["cached_input_tokens"] == 10
    assert len(client.model.requests) == (3 if socket else 2)


async def test_gemini_cli(client):
    settings = client.home / ".gemini" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{"security":{"auth":{"selectedType":"gemini-api-key"}}}')
    out = await client.run(
        program("gemini"),
        *("-p", PROMPT, "-o", "json", "--approval-mode", "yolo"),
        GOOGLE_GEMINI_BASE_URL=client.url,
        GEMINI_API_KEY="none",
        GEMINI_MODEL="tiny",
        GEMINI_CLI_TRUST_WORKSPACE="true",
    )
    said = orjson.loads(out[out.index(b"{") :])
    assert client.written == HELLO
    assert said["response"] == "It is done."
    assert said["stats"]["tools"]["byName"]["write_file"]["success"] == 1
    assert len(client.model.requests) == 2
