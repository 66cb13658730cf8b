"""Models that ship inside the package: `builtin:tiny`, a demo model (see its MODEL_CARD.md)."""

from pathlib import Path

PREFIX = "builtin:"


def names() -> tuple[str, ...]:
    return (f"{PREFIX}tiny",)


def folder(name: str) -> Path | None:
    """The folder of `builtin:tiny`; None for any other name."""
    return Path(__file__).parent / name.removeprefix(PREFIX) if name in names() else None
