"""Who is asked with a key is asked directly, and nobody else."""

import socket
from threading import Thread

import pytest
from answering import answering

from mlxk.system import asking

KEY = {"Authorization": "Bearer sesame"}


def test_neither_a_proxy_nor_a_redirect_gets_the_key(monkeypatch):
    with answering({}) as (elsewhere, overheard):
        pages = {
            "/here": (200, {}, b"yes"),
            "/moved": (302, {"Location": f"{elsewhere}/here"}, b""),
        }
        monkeypatch.setenv("http_proxy", elsewhere)
        with answering(pages) as (url, asked):
            assert asking.get(f"{url}/here", KEY, timeout_s=5) == (200, b"yes")
            assert asking.get(f"{url}/moved", KEY, timeout_s=5)[0] == 302
        assert [headers["Authorization"] for _, headers in asked] == ["Bearer sesame"] * 2
        assert overheard == []


def test_what_is_no_http_is_nobody():
    def talk():
        with listening.accept()[0] as caller:
            caller.sendall(b"SSH-2.0-x\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        talking = Thread(target=talk)
        talking.start()
        urls = f"http://127.0.0.1:{listening.getsockname()[1]}", "http://h:port", "http://[::1"
        for url in urls:
            with pytest.raises(OSError, match="no HTTP"):
                asking.get(url, timeout_s=5)
        talking.join()
