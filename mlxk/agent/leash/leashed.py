"""A run whose loop is another program's: started in the worktree, heard, ended with the run."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from mlxk.agent.calls import CallRecord, Denial
from mlxk.agent.command import Done, run_command
from mlxk.agent.confine import Confinement, leashed
from mlxk.agent.events import Sender
from mlxk.agent.leash.overheard import Overheard
from mlxk.agent.leash.recipe import Leash, Setup
from mlxk.agent.limits import Meter, spent
from mlxk.agent.record import Recorder
from mlxk.agent.redact import redacted
from mlxk.agent.sizes import context_limit
from mlxk.agent.structured import structured
from mlxk.chat.model import ChatModel
from mlxk.chat.types import Message, Request, Text
from mlxk.contract.errors import (
    ContextLengthExceeded,
    EmptyAnswer,
    HarnessFailed,
)

_BEGUN = "begun"
_KEPT_BYTES = 16 << 20
_TAIL = 600
# What a conversation needs besides the program's own prompt.
_ROOM = 512


class Leashed:
    """Stands where `Loop` stands. `folder` holds the program's own state of this session."""

    def __init__(
        self,
        leash: Leash,
        model: ChatModel,
        recorder: Recorder,
        meter: Meter,
        sender: Sender,
        confinement: Confinement,
        *,
        folder: Path,
        asked: Request,
    ) -> None:
        self._leash = leash
        self._model = model
        self._recorder = recorder
        self._meter = meter
        self._folder = folder
        self._asked = asked
        self._heard = Overheard(model, recorder, meter, sender, asked)
        self._confinement = _widened(confinement, leash.program, folder)
        self.denials: list[Denial] = []

    @property
    def calls(self) -> list[CallRecord]:
        return self._heard.calls

    @property
    def result(self) -> str:
        return self._heard.result

    @property
    def ttft_s(self) -> float | None:
        return self._heard.ttft_s

    @property
    def model_s(self) -> float:
        return self._heard.model_s

    @property
    def tools_s(self) -> float:
        return self._heard.tools_s

    def request(self, prompt: str) -> Request:
        """What we know of its first request: the prompt."""
        return replace(self._asked, messages=(Message("user", (Text(prompt),)),))

    async def run(self, prompt: str) -> None:
        """Until the program ends. Raises why it ended otherwise than well."""
        self._meter.check()
        context = await self._room()
        await self._recorder.add(Message("user", (Text(prompt),)))
        before = len(self.calls)
        try:
            done = await self._until_over(prompt, context)
        finally:
            await self._heard.close()
        self._judge(done)
        if not self.result and not any(call.ok for call in self.calls[before:]):
            raise EmptyAnswer(f"{self._leash.recipe.name} said and did nothing")

    async def structured(self, schema: dict[str, Any]) -> Any:
        """The result as a value that obeys `schema`; SchemaMismatch after three tries."""

        async def ask(text: str) -> str:
            await self.run(text)
            return self.result

        request = "Answer with nothing but one JSON value that obeys this JSON schema:"
        return await structured(ask, request, schema)

    async def _room(self) -> int | None:
        """The model's context; ContextLengthExceeded when the program's prompt alone fills it."""
        recipe, context = self._leash.recipe, await context_limit(self._model)
        if context is not None and context < recipe.prompt_tokens + _ROOM:
            raise ContextLengthExceeded(
                f"{recipe.name}'s own prompt takes about {recipe.prompt_tokens} tokens, "
                f"{self._asked.model} has {context} in all",
                hint="a model with a longer context, or the agent without --leash",
            )
        return context

    async def _until_over(self, prompt: str, context: int | None) -> Done:
        """Run it; end it when a budget is spent or the model cannot answer any more."""
        heard, left = self._heard, self._meter.seconds_left()
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(self._leash.serve(heard))
            words = stack.enter_context(_file_of(prompt))
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            goes_on = (self._folder / _BEGUN).exists()
            launch = self._leash.recipe.launch(Setup(self._folder, server, context, goes_on))
            argv = [str(self._leash.program), *launch.argv]
            is_free = self._confinement.kind == "none"
            program = asyncio.create_task(
                run_command(
                    leashed(argv) if is_free else self._confinement.program(argv),
                    cwd=self._confinement.root,
                    timeout_s=left,
                    keep_bytes=_KEPT_BYTES,
                    env={"HOME": str(self._folder), **launch.env},
                    stdin=words,
                )
            )
            ending = asyncio.create_task(heard.over.wait())
            try:
                await asyncio.wait({program, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not program.done() and heard.error:
                    raise heard.error
                return await program
            finally:
                for task in (program, ending):
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    def _judge(self, done: Done) -> None:
        if done.timed_out:
            raise spent("seconds", self._meter.budgets.seconds or 0)
        said = self._leash.recipe.failure(done.text)
        if done.exit_code == 0 and said is None:
            (self._folder / _BEGUN).touch()
            return
        if self._heard.error is not None:
            raise self._heard.error
        tail = said or done.text.strip()[-_TAIL:] or "it said nothing"
        name = self._leash.recipe.name
        raise HarnessFailed(f"{name} ended with status {done.exit_code}: {redacted(tail)}")


@contextmanager
def _file_of(text: str) -> Iterator[IO[bytes]]:
    with TemporaryFile() as file:
        file.write(text.encode("utf-8", "replace"))
        file.seek(0)
        yield file


def _widened(confinement: Confinement, program: Path, folder: Path) -> Confinement:
    """It needs its own files, a folder for its state, and the loopback to reach the model."""
    return replace(
        confinement,
        network=True,
        visible=(*confinement.visible, *_installed(program)),
        writable=(*confinement.writable, folder),
    )


def _installed(program: Path) -> list[Path]:
    """The folders that hold the program: as it was found, and where the links lead."""
    found = []
    for path in (program, program.resolve()):
        parts = path.parts
        top = parts.index("node_modules") + 1 if "node_modules" in parts else len(parts) - 1
        found.append(Path(*parts[:top]))
    return found
