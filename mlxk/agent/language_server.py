"""One language server: JSON-RPC over its standard streams, confined like Bash. Knows no tools."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Self

from mlxk.agent.confine import Confinement
from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument
from mlxk.system.process import child_environment, kill_group

_LARGEST = 64 << 20
_QUIET_S = 0.7
_CAPABILITIES = {
    "general": {"positionEncodings": ["utf-16"]},
    "textDocument": {
        "publishDiagnostics": {"versionSupport": True},
        "diagnostic": {},
        "definition": {"linkSupport": False},
        "references": {},
        "synchronization": {"didSave": False},
    },
    "workspace": {"configuration": True, "workspaceFolders": True},
}


class ServerEnded(Exception):
    """The process is no more, or says what is no JSON-RPC; `str` says which."""


class ServerRefused(Exception):
    """The server answered a request with an error."""


class LanguageServer:
    """Lives until `close`; every request after its end raises ServerEnded."""

    def __init__(self, process: asyncio.subprocess.Process, root: Path) -> None:
        self._process = process
        self._root = root
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._files: dict[str, tuple[int, str]] = {}
        self._diagnostics: dict[str, list[Any]] = {}
        self._news = asyncio.Event()
        self._capabilities: dict[str, Any] = {}
        self._end: ServerEnded | None = None
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, argv: Sequence[str], root: Path, confinement: Confinement) -> Self:
        """Started and greeted. ServerEnded, ServerRefused, OSError."""
        process = await asyncio.create_subprocess_exec(
            *confinement.program(argv),
            cwd=root,
            env=child_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        server = cls(process, root)
        try:
            await server._greet()
        except BaseException:
            await server.close()
            raise
        return server

    @property
    def has_ended(self) -> bool:
        return self._end is not None

    async def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.to_thread(kill_group, self._process.pid)
        await asyncio.wait({self._reading}, timeout=_QUIET_S)  # to the end of its output
        self._reading.cancel()
        await self._process.wait()

    async def diagnostics(self, path: Path, text: str) -> list[Any]:
        """What is wrong with a file: asked for, or waited for until no more comes."""
        uri = self.show(path, text)
        if "diagnosticProvider" in self._capabilities:
            document = {"textDocument": {"uri": uri}}
            found = await self.request("textDocument/diagnostic", document)
            return list((found or {}).get("items", ()))
        while uri not in self._diagnostics:
            await self._wait()
        with suppress(TimeoutError):
            while True:
                await asyncio.wait_for(self._wait(), _QUIET_S)
        return self._diagnostics[uri]

    async def places(self, method: str, path: Path, text: str, at: tuple[int, int]) -> list[Any]:
        """Locations, of `definition` or `references` of what is at a line and a column."""
        uri = self.show(path, text)
        found = await self.request(
            f"textDocument/{method}",
            {
                "textDocument": {"uri": uri},
                "position": {"line": at[0], "character": at[1]},
                "context": {"includeDeclaration": True},
            },
        )
        return found if isinstance(found, list) else [found] if found else []

    def show(self, path: Path, text: str) -> str:
        """Tell what the file holds now; its URI."""
        uri = path.as_uri()
        version, known = self._files.get(uri, (0, None))
        if known == text:
            return uri
        self._files[uri] = (version + 1, text)
        self._diagnostics.pop(uri, None)
        document: dict[str, Any] = {"uri": uri, "version": version + 1}
        if version == 0:
            document |= {"languageId": path.suffix.removeprefix("."), "text": text}
            self._notify("textDocument/didOpen", {"textDocument": document})
        else:
            changes = [{"text": text}]
            changed = {"textDocument": document, "contentChanges": changes}
            self._notify("textDocument/didChange", changed)
        return uri

    async def request(self, method: str, params: Any) -> Any:
        if self._end:
            raise self._end
        number, answer = next(self._ids), asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._send({"id": number, "method": method, "params": params})
        try:
            return await answer
        finally:
            self._waiting.pop(number, None)

    async def _greet(self) -> None:
        root = self._root.as_uri()
        answer = await self.request(
            "initialize",
            {
                "processId": None,
                "rootUri": root,
                "workspaceFolders": [{"uri": root, "name": self._root.name}],
                "capabilities": _CAPABILITIES,
            },
        )
        self._capabilities = answer.get("capabilities", {})
        self._notify("initialized", {})

    def _notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = encoding.dumps({"jsonrpc": "2.0", **message})
        if self._process.stdin is not None and not self._end:
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def _wait(self) -> None:
        """Until diagnostics came, of whatever file."""
        if self._end:
            raise self._end
        self._news.clear()
        await self._news.wait()

    async def _read(self) -> None:
        end = ServerEnded("the language server has ended")
        try:
            while (message := await self._message()) is not None:
                self._take(message)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except (InvalidDocument, ValueError, LookupError, TypeError, AttributeError) as e:
            end = ServerEnded(f"the language server said what is no JSON-RPC: {e}")
        finally:
            self._end = end
            self._news.set()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(end)

    async def _message(self) -> dict[str, Any] | None:
        stream = self._process.stdout
        if stream is None:
            return None
        length = 0
        while line := (await stream.readline()).strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if not 0 < length <= _LARGEST:
            return None
        message: dict[str, Any] = encoding.loads(await stream.readexactly(length))
        return message

    def _take(self, message: dict[str, Any]) -> None:
        method, number = message.get("method"), message.get("id")
        if method == "textDocument/publishDiagnostics":
            params = message["params"]
            self._diagnostics[params["uri"]] = params["diagnostics"]
            self._news.set()
        elif method is not None and number is not None:
            # It may ask for settings, of which we have none, or announce what it will do.
            items = (message.get("params") or {}).get("items", ())
            is_asked = method == "workspace/configuration"
            self._send({"id": number, "result": [None for _ in items] if is_asked else None})
        elif number in self._waiting and not (answer := self._waiting[number]).done():
            if error := message.get("error"):
                answer.set_exception(ServerRefused(str(error.get("message", error))))
            else:
                answer.set_result(message.get("result"))
