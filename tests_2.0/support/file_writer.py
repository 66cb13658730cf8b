"""A ChatModel that does what coding agents are asked for in a demo: it writes one file."""

import orjson

from mlxk.chat.types import (
    Finish,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolUseDelta,
    ToolUseStart,
    Usage,
)

HELLO = "Hello world\n"


class FileWriter:
    """Calls the client's own tool once, then says that it is done."""

    def __init__(self, folder):
        self.requests = []
        path = str(folder / "hello.txt")
        self._calls = {
            "Write": {"file_path": path, "content": HELLO},
            "write_file": {"file_path": path, "content": HELLO},
            "exec_command": {"cmd": "printf 'Hello world\\n' > hello.txt"},
        }

    async def stream(self, request):
        self.requests.append(request)
        tool = next((tool.name for tool in request.tools if tool.name in self._calls), None)
        yield Start(f"msg_{len(self.requests)}", request.model)
        yield ThinkingDelta("Let me see.")
        if tool is None or any(message.role == "tool" for message in request.messages):
            yield TextDelta("It is")
            yield TextDelta(" done.")
            yield Finish("stop", Usage(20, 4, 10))
            return
        arguments = orjson.dumps(self._calls[tool]).decode()
        yield TextDelta("I write it.")
        yield ToolUseStart("call_1", tool)
        for i in range(0, len(arguments), 7):
            yield ToolUseDelta(arguments[i : i + 7])
        yield Finish("tool_use", Usage(10, 9))
