"""A shell line that the person types beside the agent: shown at once, told to the model later."""

import asyncio
from pathlib import Path

from mlxk.agent.command import Done, run_command
from mlxk.agent.desk_news import CommandFinished, CommandOutput, CommandStarted, Feed
from mlxk.agent.redact import redacted
from mlxk.contract.errors import UsageError

_KEPT_BYTES = 1 << 20
_TOLD_CHARACTERS = 4_000
_LONGEST_S = 24 * 3600.0
_STOPPED = 130


class Aside:
    """One at a time."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._task: asyncio.Task[Done] | None = None
        self._heard: list[str] = []

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def run(self, line: str, folder: Path) -> bool:
        """Whether it ran to its end."""
        if self.is_running:
            raise UsageError("another command is running", hint="/abort ends it")
        self._feed.tell(CommandStarted(line, str(folder)))
        self._task = asyncio.create_task(
            run_command(
                ["/bin/sh", "-c", line],
                cwd=folder,
                timeout_s=_LONGEST_S,
                keep_bytes=_KEPT_BYTES,
                emit=lambda text: self._feed.tell(CommandOutput(text)),
            )
        )
        await asyncio.wait({self._task})
        if self._task.cancelled():
            self._feed.tell(CommandFinished(_STOPPED, 0))
            return False
        done = self._task.result()
        self._feed.tell(CommandFinished(done.exit_code, done.dropped_bytes))
        output = redacted(done.text)[-_TOLD_CHARACTERS:]
        self._heard.append(f"I ran `{line}` (exit code {done.exit_code}):\n{output}")
        return True

    async def stop(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    def heard(self) -> list[str]:
        """What the model is to be told of, once."""
        heard, self._heard = self._heard, []
        return heard
