"""Draws a benchmark with matplotlib, the optional extra `plot`."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlxk.contract.errors import ExtraMissing, InvalidValue

if TYPE_CHECKING:
    from mlxk.cli.bench import Benched

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

    figure = Figure(figsize=(9, 4), layout="constrained")
    figure.suptitle(f"{value.model}: prompts of {value.prompt_tokens} tokens")
    speed, wait = figure.subplots(1, 2)
    _speeds(speed, value)
    _waits(wait, value)
    for axes in (speed, wait):
        axes.set_xlabel("requests at once")
        axes.set_xticks([level.concurrency for level in value.sweep])
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    with translated(path):
        figure.savefig(path, dpi=120)


def _speeds(axes: Any, value: "Benched") -> None:
    together = [(v.concurrency, v.total_tps) for v in value.sweep if v.total_tps]
    each = [(v.concurrency, v.gen_tps) for v in value.sweep if v.gen_tps]
    for label, rows in (("together", together), ("each answer", each)):
        if rows:
            counts, spreads = zip(*rows, strict=True)
            errors = [spread.std or 0 for spread in spreads]
            means = [spread.mean for spread in spreads]
            axes.errorbar(counts, means, yerr=errors, marker="o", capsize=3, label=label)
    axes.set_title("tokens a second")


def _waits(axes: Any, value: "Benched") -> None:
    firsts = [(v.concurrency, v.ttft_s) for v in value.sweep if v.ttft_s]
    gaps = [(v.concurrency, v.gap_s) for v in value.sweep if v.gap_s]
    for label, rows in (("first token", firsts), ("gap between tokens", gaps)):
        if rows:
            counts, found = zip(*rows, strict=True)
            medians = [each.p50 * 1000 for each in found]
            above = [(each.p95 - each.p50) * 1000 for each in found]
            below = [0.0] * len(above)
            axes.errorbar(counts, medians, yerr=(below, above), marker="o", capsize=3, label=label)
    axes.set_title("milliseconds, median and 95 %")
