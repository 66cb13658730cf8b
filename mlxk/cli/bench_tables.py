"""A benchmark for people: lines while it runs, a table at its end."""

from typing import TYPE_CHECKING

from mlxk.cli.tables import columns
from mlxk.deploy.bench import Measured, Progress

if TYPE_CHECKING:
    from mlxk.cli.bench import Benched
    from mlxk.cli.bench_target import Drafts
    from mlxk.deploy.bench_figures import Level, Percentiles, Spread

_KINDS = {
    "engine": "an engine of its own",
    "server": "through its server",
    "deployment": "through its server",
}


def benched(value: "Benched") -> str:
    lines = [f"{value.model}, {_KINDS[value.kind]}: {_asked(value)}", ""]
    pairs = [
        ("Prompt", _rate(value.prompt_tps)),
        ("Generation", _rate(value.gen_tps)),
        ("First token", f"{value.ttft_s:.3f} s" if value.ttft_s is not None else "-"),
        ("Gap", f"{_times(value.gap_s)} (median / 95 %)" if value.gap_s else "-"),
        ("Memory", f"{value.peak_memory_gb:.2f} GB" if value.peak_memory_gb else "unknown"),
    ]
    if value.drafts is not None:
        pairs.append(("Drafts", _share(value.drafts)))
    if value.tool_call is not None:
        detail = f": {value.tool_call.detail}" if value.tool_call.detail else ""
        pairs.append(("Tool call", f"{value.tool_call.verdict}{detail}"))
    pairs += [
        ("Gate", f"{v.name} {v.wanted}: {'ok' if v.passed else 'MISSED'}") for v in value.verdicts
    ]
    pairs += [("Saved", value.saved_to)] if value.saved_to else []
    pairs += [("Drawn", value.plotted_to)] if value.plotted_to else []
    lines += [f"{label:<13}{text}" for label, text in pairs]
    if len(value.sweep) > 1:
        header = ("AT ONCE", "TOKENS/S", "EACH", "FIRST TOKEN", "GAP", "FAILED")
        lines += ["", columns(header, map(_row, value.sweep), right=" ".join(header))]
    return "\n".join(lines)


def progress(event: Progress) -> str:
    if isinstance(event, Measured):
        row = event.iteration
        speed = "no tokens" if row.total_tps is None else f"{row.total_tps:.1f} tokens/s"
        return f"  {row.concurrency} at once, round {row.iteration}: {speed}"
    words = {"loading": "loading", "warm_up": "warming up", "tool_call": "asking for a tool call"}
    text = words.get(event.phase, "measuring")
    return text if event.concurrency is None else f"{text}, {event.concurrency} at once"


def _asked(value: "Benched") -> str:
    rounds = len(value.iterations) // max(1, len(value.sweep))
    answered = sum(row.completion_tokens for row in value.iterations)
    requests = sum(row.concurrency - row.failed for row in value.iterations)
    length = f"{answered / requests:.0f}" if requests else "no"
    word = "round" if rounds == 1 else "rounds"
    return f"{rounds} {word}, prompts of {value.prompt_tokens}, answers of {length} tokens"


def _row(level: "Level") -> tuple[object, ...]:
    return (
        level.concurrency,
        f"{level.total_tps.mean:.1f}" if level.total_tps else "-",
        f"{level.gen_tps.mean:.1f}" if level.gen_tps else "-",
        _times(level.ttft_s),
        _times(level.gap_s),
        level.failed,
    )


def _share(drafts: "Drafts") -> str:
    if not drafts.drafted_tokens:
        return "none"
    share = drafts.accepted_tokens / drafts.drafted_tokens
    return f"{share:.0%} of {drafts.drafted_tokens} tokens held"


def _rate(spread: "Spread | None") -> str:
    if spread is None:
        return "-"
    more = f" ± {spread.std:.1f}" if spread.std is not None else ""
    return f"{spread.mean:.1f}{more} tokens/s"


def _times(found: "Percentiles | None") -> str:
    """The median and what 95 of 100 do not exceed."""
    return f"{found.p50 * 1000:.1f} / {found.p95 * 1000:.1f} ms" if found else "-"
