"""Text for people: one column formatter, and what each model command shows."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from mlxk.cli.models import Health, Listing, Shown
    from mlxk.engine.convert import Converted
    from mlxk.hub.clone import Cloned
    from mlxk.hub.fleet import Progress
    from mlxk.hub.model import Model
    from mlxk.hub.pull import Pulled
    from mlxk.hub.push import Pushed
    from mlxk.hub.remove import Removed

_UNITS = ("B", "KB", "MB", "GB", "TB")


def columns(header: Sequence[str], rows: Iterable[Sequence[object]], right: str = "") -> str:
    """Left-aligned columns; `right` names the headers, by a space, that are numbers."""
    cells = [list(header), *(["-" if c is None else str(c) for c in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    numbers = set(right.split())
    lines = (
        "  ".join(
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for cell, width, name in zip(row, widths, header, strict=True)
        )
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def size(count: int | None) -> str:
    """Bytes in the units of disk makers, as the hub shows them: `4.3 GB`."""
    if count is None:
        return "-"
    number, unit = float(count), 0
    while number >= 999.95 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def models(value: "Listing", args: dict[str, Any]) -> str:
    shown = [m for m in value.models if _is_shown(m, args)]
    header = ["NAME", "HASH", "SIZE", "MODIFIED", "TYPE"]
    wide = args.get("verbose") or args.get("all")
    header += ["FRAMEWORK", "SOURCE"] if wide else []
    header += ["HEALTH", "RUNS", "REASON"] if args.get("health") else []
    if not shown:
        return _nothing(value, args)
    text = columns(header, (_cells(m, header) for m in shown), right="SIZE")
    hidden = len(value.models) - len(shown)
    return f"{text}\n\n{hidden} more: mlxk list --all" if hidden else text


def shown(value: "Shown", _: dict[str, Any]) -> str:
    model, metadata = value.model, value.metadata
    quantization = metadata.quantization
    bits = (
        quantization and f"{quantization.bits or '?'} bits, {quantization.mode or 'unknown mode'}"
    )
    pairs = [
        ("Name", model.name),
        ("Revision", model.hash),
        ("Size", size(model.size_bytes)),
        ("Framework", model.framework),
        ("Type", model.model_type),
        ("Can", ", ".join(model.capabilities) or None),
        ("Health", model.health),
        ("Runs here", "yes" if model.runtime_compatible else "no"),
        ("Reason", model.reason),
        ("Origin", model.origin),
        ("Edited", value.workspace and (", ".join(value.workspace.changed) or "no")),
        ("Architecture", metadata.architecture),
        ("Context", metadata.context_length),
        ("Layers", metadata.num_layers),
        ("Hidden size", metadata.hidden_size),
        ("Vocabulary", metadata.vocab_size),
        ("Quantization", bits),
        ("Folder", value.path),
    ]
    width = max(len(label) for label, _ in pairs) + 2
    lines = [f"{label:<{width}}{text}" for label, text in pairs if text is not None]
    if value.files is not None:
        rows = [(f.name, size(f.size_bytes), f.type) for f in value.files]
        lines += ["", columns(("FILE", "SIZE", "TYPE"), rows, right="SIZE")]
    if value.config is not None:
        from mlxk.contract.encoding import dumps

        lines += ["", dumps(value.config, indent=True).decode()]
    return "\n".join(lines)


def health(value: "Health", _: dict[str, Any]) -> str:
    items = sorted(
        (*value.healthy, *value.unhealthy), key=lambda item: (item.name, item.hash or "")
    )
    lines = []
    for item in items:
        lines.append(f"{'ok ' if item.status == 'healthy' else 'BAD'}  {item.name}")
        lines += [f"       {problem}" for problem in item.problems]
        lines += [f"       warning: {warning}" for warning in item.warnings]
    summary = value.summary
    lines.append(f"\n{summary.healthy_count} of {summary.total} models are healthy")
    return "\n".join(lines) if items else "No models. Get one: mlxk pull ORG/NAME"


def pulled(value: "Pulled", _: dict[str, Any]) -> str:
    if value.download_status == "already_exists":
        return f"{value.expanded_name} is already here, whole, at {value.hash[:8]}."
    count, amount = value.files_downloaded, size(value.bytes_downloaded)
    verb = {"resumed": "Resumed", "repaired": "Repaired"}.get(value.download_status, "Downloaded")
    return f"{verb} {value.expanded_name} at {value.hash[:8]}: {count} files, {amount}."


def removed(value: "Removed", _: dict[str, Any]) -> str:
    if not value.removed:
        return "Nothing was deleted."
    lines = [f"Removed {m.name}{f'@{m.hash[:8]}' if m.hash else ''}" for m in value.removed]
    return "\n".join([*lines, f"{size(value.freed_bytes)} freed."])


def cloned(value: "Cloned", _: dict[str, Any]) -> str:
    how = "copied" if value.method == "copy" else f"shared by {value.method}"
    line = f"Cloned {value.model} to {value.target_dir}: {value.files} files, {how}."
    return line if value.health == "healthy" else f"{line}\nIt is unhealthy: mlxk health shows why."


def converted(value: "Converted", _: dict[str, Any]) -> str:
    how = f"{value.bits} bits in groups of {value.group_size}" if value.bits else "not packed"
    return f"Converted {value.source} to {value.target_dir}: {how}, {size(value.size_bytes)}."


def pushed(value: "Pushed", _: dict[str, Any]) -> str:
    lines = [f"{value.message} ({value.repo_id}, {value.branch})"]
    lines += [f"  + {name}" for name in value.added_files]
    lines += [f"  - {name}" for name in value.deleted_files]
    return "\n".join([*lines, *([value.commit_url] if value.commit_url else [])])


def progress(out: TextIO | None, err: TextIO) -> "Callable[[Progress], None]":
    """One line that is rewritten, on a terminal only."""

    def show(event: "Progress") -> None:
        if event.file is None and err.isatty() and event.bytes_total:
            share = event.bytes_done / event.bytes_total
            bar = ("#" * int(share * 30)).ljust(30)
            err.write(f"\r{bar} {share:4.0%} of {size(event.bytes_total)}\x1b[K")
            if event.bytes_done == event.bytes_total:
                err.write("\r\x1b[K")
            err.flush()

    return show


def _is_shown(model: "Model", args: dict[str, Any]) -> bool:
    if args.get("all"):
        return True
    kinds = {"chat", "base"} if args.get("verbose") else {"chat"}
    return model.framework == "MLX" and model.model_type in kinds


def _nothing(value: "Listing", args: dict[str, Any]) -> str:
    if value.models:
        return f"No MLX chat models; {len(value.models)} others: mlxk list --all"
    if args.get("pattern"):
        return f"No model matches {args['pattern']!r}."
    return "No models. Get one: mlxk pull ORG/NAME"


def _cells(model: "Model", header: Sequence[str]) -> list[object]:
    known: dict[str, object] = {
        "NAME": model.name,
        "HASH": model.hash and model.hash[:8],
        "SIZE": size(model.size_bytes),
        "MODIFIED": model.last_modified and model.last_modified[:10],
        "TYPE": model.model_type,
        "FRAMEWORK": model.framework,
        "SOURCE": model.source,
        "HEALTH": model.health,
        "RUNS": "yes" if model.runtime_compatible else "no",
        "REASON": model.reason,
    }
    return [known[name] for name in header]
