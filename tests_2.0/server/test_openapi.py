"""Our OpenAPI document, read by schemathesis: whatever it makes of it is answered, never a 500."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from scripted import Raw

PROGRAM = Path(sys.executable).with_name("schemathesis")


async def judged(folder, http, *argv):
    """The exit code, and what it said."""
    url = str(http._base_url).rstrip("/")
    checks = "not_a_server_error,status_code_conformance"
    options = ("--checks", checks, "--seed", "1", "--continue-on-failure", "--no-color")
    process = await asyncio.create_subprocess_exec(
        *(str(PROGRAM), "run", f"{url}/v1/schema", "-u", url, *options, *argv),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    return process.returncode, out.decode()


@pytest.mark.slow
@pytest.mark.skipif(not PROGRAM.exists(), reason="schemathesis is not installed")
async def test_no_request_makes_it_fail(serve, tmp_path, caplog):
    http = await serve({"m": Raw()}, aliases={"*": "m"})
    options = ("--phases", "coverage,fuzzing", "-n", "20", "--max-time", "100")
    code, said = await judged(tmp_path, http, *options)
    assert code == 0, said
    assert not caplog.records


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: \x00\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HELO\r\n\r\n",
    ],
    ids=["null", "tls", "smtp"],
)
async def test_what_is_no_http_is_refused_in_silence(serve, caplog, text):
    http = await serve(Raw())
    reader, writer = await asyncio.open_connection("127.0.0.1", http._base_url.port)
    writer.write(text)
    status = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    assert b" 400 " in status
    assert (await http.get("/health")).status == 200
    assert not caplog.records


async def test_a_wrong_method_says_which_are_right(serve):
    http = await serve(Raw())
    response = await http.delete("/v1/chat/completions")
    assert (response.status, response.headers["Allow"]) == (405, "POST")
