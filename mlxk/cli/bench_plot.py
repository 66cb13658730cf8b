"""Draws a benchmark with matplotlib, the optional extra `plot`."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlxk.contract.errors import ExtraMissing, InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlxk.cli.bench import Benched
    from mlxk.deploy.bench_figures import Level, Percentiles

_SUFFIXES = (".png", ".svg", ".pdf")


def check(path: Path) -> None:
    """Before anything is measured: can it be drawn, and written there?"""
    if path.suffix.lower() not in _SUFFIXES:
        raise InvalidValue(f"{path} is no picture", hint=f"one of {', '.join(_SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise InvalidValue(f"there is no folder {path.absolute().parent}")
    if find_spec("matplotlib") is None:
        raise ExtraMissing("--plot needs matplotlib", hint="pip install 'mlxk[plot]'")


def draw(value: "Benched", path: Path) -> None:
    """Tokens a second and waiting times over the number of requests at once."""
    from matplotlib.figure import Figure

    from mlxk.system.files import translated

    figure = Figure(figsize=(12, 4), layout="constrained")
    figure.suptitle(f"{value.model}: prompts of {value.prompt_tokens} tokens")
    speed, first, gap = figure.subplots(1, 3)
    _speeds(speed, value.sweep)
    _times(first, "first token", [(v.concurrency, v.ttft_s) for v in value.sweep])
    _times(gap, "gap between tokens", [(v.concurrency, v.gap_s) for v in value.sweep])
    for axes in (speed, first, gap):
        axes.set_xlabel("requests at once")
        axes.set_xticks([level.concurrency for level in value.sweep])
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    with translated(path):
        figure.savefig(path, dpi=120)


def _speeds(axes: Any, sweep: "Sequence[Level]") -> None:
    together = [(v.concurrency, v.total_tps) for v in sweep if v.total_tps]
    each = [(v.concurrency, v.gen_tps) for v in sweep if v.gen_tps]
    for label, rows in (("together", together), ("each answer", each)):
        if rows:
            counts, spreads = zip(*rows, strict=True)
            errors = [spread.std or 0 for spread in spreads]
            means = [spread.mean for spread in spreads]
            axes.errorbar(counts, means, yerr=errors, marker="o", capsize=3, label=label)
    axes.set_title("tokens a second")
    axes.legend()


def _times(axes: Any, title: str, rows: "Sequence[tuple[int, Percentiles | None]]") -> None:
    known = [(count, found) for count, found in rows if found]
    medians = [found.p50 * 1000 for _, found in known]
    above = [(found.p95 - found.p50) * 1000 for _, found in known]
    errors = ([0.0] * len(above), above)
    axes.errorbar([count for count, _ in known], medians, yerr=errors, marker="o", capsize=3)
    axes.set_title(f"{title}: ms, median and 95 %")
