"""`mlxk bench`: how fast something answers, whether that is fast enough, and where it is kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mlxk.cli import guessing
from mlxk.cli.registry import command

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from mlxk.cli.bench_target import Drafts, Held, Kind, MemorySource, Target
    from mlxk.deploy.bench import Bench, Progress
    from mlxk.deploy.bench_call import ToolCall
    from mlxk.deploy.bench_figures import Iteration, Level, Percentiles, Spread
    from mlxk.deploy.bench_gates import Gates, Verdict

_MOST = 100
_LONGEST = 2_000_000  # tokens: a typing error does not fill the machine


@dataclass(frozen=True, slots=True)
class Benched:
    """The figures beside `sweep` are those of the lowest concurrency that was measured."""

    target: str
    kind: "Kind"
    model: str
    url: str | None
    concurrency: tuple[int, ...]
    prompt_tokens: int
    max_tokens: int
    load_s: float | None
    iterations: "tuple[Iteration, ...]"
    prompt_tps: "Spread | None"
    gen_tps: "Spread | None"
    ttft_s: float | None
    gap_s: "Percentiles | None"
    sweep: "tuple[Level, ...]"
    cached_tokens: int
    peak_memory_gb: float | None
    memory_source: "MemorySource | None"
    drafts: "Drafts | None"
    verdicts: "tuple[Verdict, ...]"
    tool_call: "ToolCall | None"
    saved_to: str | None
    plotted_to: str | None


def _table(value: Benched, _: dict[str, Any]) -> str:
    from mlxk.cli.bench_tables import benched

    return benched(value) if value.iterations else ""


def _live(_: TextIO | None, err: TextIO) -> "Callable[[Progress], None]":
    from mlxk.cli.bench_tables import progress

    return lambda event: print(progress(event), file=err, flush=True)


@command("bench", _table, live=_live)
def bench(
    target: Annotated[
        str, typer.Argument(help="A model, the URL of a server, or the name of a deployment.")
    ],
    iterations: Annotated[int, typer.Option(min=1, max=1000, help="Measured rounds.")] = 3,
    prompt_tokens: Annotated[
        int, typer.Option(min=1, max=_LONGEST, help="Length of the prompts, about.")
    ] = 512,
    max_tokens: Annotated[int, typer.Option(min=2, help="Length of the answers.")] = 128,
    concurrency: Annotated[
        str, typer.Option(help="Requests at once; several numbers are measured in turn.")
    ] = "1",
    model: Annotated[str | None, typer.Option(help="Which model of a server.")] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="The variable that holds its key [MLXK_API_KEY].")
    ] = None,
    draft: guessing.Chosen = None,
    min_gen_tps: Annotated[
        float | None, typer.Option(min=0, help="Exit 3 below so many tokens a second.")
    ] = None,
    min_prompt_tps: Annotated[
        float | None, typer.Option(min=0, help="The same for reading prompts.")
    ] = None,
    max_ttft: Annotated[
        float | None, typer.Option(min=0, help="Exit 3 when the first token takes longer (s).")
    ] = None,
    tool_call: Annotated[
        bool, typer.Option("--tool-call", help="See whether it calls a tool when it should.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the figures: a .png, .svg or .pdf file.")
    ] = None,
    save: Annotated[
        bool, typer.Option("--save", help="Keep the figures of this machine for `recommend`.")
    ] = False,
) -> "Generator[Progress, None, Benched]":
    """Measure how fast a model, a server or a deployment answers. Warm-up is not counted.

    mlxk bench Qwen3-4B-4bit --save

    mlxk bench standard --concurrency 1,4,16 --plot standard.png

    mlxk bench http://127.0.0.1:8000 --min-gen-tps 20 --max-ttft 1.5 --json | jq .data.verdicts
    """
    from mlxk.cli.bench_target import Wanted
    from mlxk.cli.bench_target import target as found
    from mlxk.contract.errors import UsageError
    from mlxk.deploy.bench import Bench, Plan
    from mlxk.deploy.bench_gates import Gates
    from mlxk.system import paths

    levels = _levels(concurrency)
    if plot is not None:
        from mlxk.cli.bench_plot import check

        check(plot)
    if save and levels[0] != 1:
        raise UsageError(
            "--save wants the figures of one request alone", hint="--concurrency 1,4,16 --save"
        )
    aim = found(Wanted(target, model, api_key_env, levels[-1], draft), paths.home())
    if save:
        _check_place(aim)
    plan = Plan(aim.model, levels, iterations, prompt_tokens, max_tokens, tool_call)
    run = _Run(target, aim, Bench(plan), Gates(min_gen_tps, min_prompt_tps, max_ttft))
    yield from run.measured()
    return run.finished(save=save, plot=plot)


class _Run:
    """One benchmark: what was completed can be told at any moment."""

    def __init__(self, typed: str, aim: "Target", bench: "Bench", gates: "Gates") -> None:
        self._typed = typed
        self._aim = aim
        self._bench = bench
        self._gates = gates
        self._load_s: float | None = None
        self._held: Held | None = None
        self._drafts: Drafts | None = None

    def measured(self) -> "Generator[Progress, None, None]":
        """Whatever ends it early carries what was completed."""
        from mlxk.cli.drive import drive
        from mlxk.contract.errors import Interrupted, MlxkError

        try:
            yield from drive(self._events())
        except KeyboardInterrupt as e:
            code = 143 if type(e) is not KeyboardInterrupt else 130
            raise Interrupted("interrupted", data=self.value(), exit_code=code) from None
        except MlxkError as e:
            e.data = self.value()
            raise

    async def _events(self) -> "AsyncGenerator[Progress, None]":
        import asyncio

        from mlxk.cli.bench_target import settled
        from mlxk.deploy.bench import Measured, Phase

        yield Phase("phase", "loading")
        async with self._aim.opened as opened:
            self._load_s = opened.load_s
            async for event in self._bench.run(opened.model):
                if isinstance(event, Measured):
                    self._note(await asyncio.to_thread(opened.held))
                yield event
            self._note(await settled(opened))
            self._drafts = opened.drafts()

    def _note(self, held: "Held | None") -> None:
        if held is not None and (self._held is None or held.bytes > self._held.bytes):
            self._held = held

    def value(self, *, saved_to: str | None = None, plotted_to: str | None = None) -> Benched:
        bench, held = self._bench, self._held
        levels = bench.levels
        first = levels[0] if levels else None
        return Benched(
            target=self._typed,
            kind=self._aim.kind,
            model=self._aim.model,
            url=self._aim.url,
            concurrency=bench.plan.levels,
            prompt_tokens=bench.plan.prompt_tokens,
            max_tokens=bench.plan.max_tokens,
            load_s=self._load_s,
            iterations=tuple(bench.iterations),
            prompt_tps=first.prompt_tps if first else None,
            gen_tps=first.gen_tps if first else None,
            ttft_s=first.ttft_s.p50 if first and first.ttft_s else None,
            gap_s=first.gap_s if first else None,
            sweep=levels,
            cached_tokens=bench.cached_tokens,
            peak_memory_gb=round(held.bytes / 1e9, 3) if held else None,
            memory_source=held.source if held else None,
            drafts=self._drafts,
            verdicts=self._gates.verdicts(first),
            tool_call=bench.tool_call,
            saved_to=saved_to,
            plotted_to=plotted_to,
        )

    def finished(self, *, save: bool, plot: Path | None) -> Benched:
        """A gate that is not met is the last word: what was measured is kept all the same."""
        from mlxk.contract.errors import CheckFailed, MlxkError

        value = self.value()
        try:
            saved_to = str(self._saved(value)) if save else None
            if plot is not None:
                from mlxk.cli.bench_plot import draw

                draw(value, plot)
        except MlxkError as e:
            e.data = value
            raise
        value = self.value(saved_to=saved_to, plotted_to=str(plot) if plot else None)
        if missed := [v for v in value.verdicts if not v.passed]:
            message = "; ".join(f"{v.name} is {v.measured}, not {v.wanted}" for v in missed)
            raise CheckFailed(message, data=value)
        return value

    def _saved(self, value: Benched) -> Path:
        from datetime import UTC, datetime

        from mlxk.advise.catalog import Benchmark
        from mlxk.advise.measured import save
        from mlxk.advise.profile import detected
        from mlxk.contract.errors import EmptyAnswer
        from mlxk.system import paths

        if value.gen_tps is None:
            raise EmptyAnswer(f"{value.model} made no tokens to measure")
        home = paths.home()
        row = Benchmark(
            prompt_tps=value.prompt_tps.mean if value.prompt_tps else None,
            gen_tps=value.gen_tps.mean,
            memory_gb=value.peak_memory_gb,
            source=f"mlxk bench {value.target}, {datetime.now(UTC):%Y-%m-%d}",
        )
        return save(home, detected(home).profile_id, self._aim.known_as, row)


def _check_place(aim: "Target") -> None:
    """Before minutes are spent: may these figures be saved, and can the file be read?"""
    from mlxk.advise.measured import measured
    from mlxk.advise.profile import detected
    from mlxk.contract.errors import UsageError
    from mlxk.system import paths

    if not aim.is_here:
        raise UsageError("only this machine's figures are saved", hint="leave --save out")
    measured(paths.home(), detected(paths.home()).profile_id)


def _levels(text: str) -> tuple[int, ...]:
    from mlxk.contract.errors import UsageError

    try:
        levels = sorted({int(word) for word in text.split(",")})
    except ValueError:
        levels = []
    if not levels or levels[0] < 1 or levels[-1] > _MOST:
        hint = f"numbers from 1 to {_MOST}: --concurrency 1,4,16"
        raise UsageError(f"{text!r} is no list of concurrencies", hint=hint)
    return tuple(levels)
