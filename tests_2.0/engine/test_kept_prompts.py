"""A server keeps what it has read on disk, without being told to."""

import orjson
from processes import Server
from waiting import until


def cached_tokens(server, text):
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 4}
    with server.post("/v1/chat/completions", body) as response:
        usage = orjson.loads(response.read())["usage"]
    return usage["prompt_tokens_details"]["cached_tokens"]


def test_a_killed_server_remembers_what_it_has_read(home):
    text = "Tell me about " + ", ".join(f"thing {n}" for n in range(60))
    first = Server("builtin:tiny", "--port", "auto").ready()
    assert cached_tokens(first, text) < 8
    until(lambda: first.get("/health")["prefix_cache_files"])
    first.close()
    second = Server("builtin:tiny", "--port", "auto").ready()
    assert cached_tokens(second, text) > 100
    second.close()
    (folder,) = (home / ".mlxk" / "prefix-cache").iterdir()
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*.kv")} == {0o600}
