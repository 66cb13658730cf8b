"""Which untracked names git would not add.

Pattern matching is dulwich's; the order of files is git's.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Self

from dulwich.config import StackedConfig
from dulwich.ignore import (
    IgnoreFilter,
    Pattern,
    default_user_ignore_filter_path,
    read_ignore_patterns,
)

from mlxk.system.files import translated

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.EMLINK)


class Rules:
    """The rules in one folder: its own .gitignore first, then those above it, the global ones last.

    Nothing is read before the first question: a scan that meets no new name asks none.
    """

    __slots__ = ("_case", "_excluded", "_folder", "_name", "_own", "_parent", "_prefix")

    def __init__(
        self, parent: "Rules | None", folder: bytes, prefix: bytes, name: bytes, *, case: bool
    ) -> None:
        self._parent = parent
        self._folder = folder
        self._prefix = prefix
        self._name = name
        self._case = case
        self._own: tuple[Pattern, ...] | None = None
        self._excluded: bool | None = None if name else False

    @classmethod
    def of(cls, root: Path, common: Path, config: StackedConfig) -> Self:
        """The rules of a checkout's top folder."""
        case = bool(config.get_boolean((b"core",), b"ignorecase", False))
        user = Path(default_user_ignore_filter_path(config)).expanduser()
        last: Rules | None = None
        for file in (user, common / "info" / "exclude"):
            last = cls(last, b"", b"", b"", case=case)
            last._own = _load(os.fsencode(file), ignorecase=case)
        return cls(last, os.fsencode(root), b"", b"", case=case)

    def below(self, name: bytes) -> "Rules":
        """The rules of a subfolder."""
        prefix = self._prefix + name + b"/"
        return Rules(self, self._folder + b"/" + name, prefix, name, case=self._case)

    @property
    def excluded(self) -> bool:
        """Whether the folder itself is ignored, and so everything new in it."""
        if self._excluded is None:
            self._excluded = self._parent is not None and self._parent.ignores(
                self._name, folder=True
            )
        return self._excluded

    def ignores(self, name: bytes, *, folder: bool) -> bool:
        if self.excluded:
            return True
        path = self._prefix + name
        rules: Rules | None = self
        while rules is not None:
            relative = path[len(rules._prefix) :]
            for pattern in reversed(rules._patterns()):
                if pattern.matches(relative, folder):
                    return pattern.is_exclude
            rules = rules._parent
        return False

    def _patterns(self) -> tuple[Pattern, ...]:
        if self._own is None:
            self._own = _load(self._folder + b"/.gitignore", ignorecase=self._case)
        return self._own


def _load(file: bytes, *, ignorecase: bool) -> tuple[Pattern, ...]:
    with translated(Path(os.fsdecode(file))):
        try:
            fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as e:
            if e.errno in _NOT_THERE:
                return ()
            raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return ()
    with os.fdopen(fd, "rb") as stream:
        return tuple(IgnoreFilter(read_ignore_patterns(stream), ignorecase).patterns)
