"""Line endings as .gitattributes and the configuration ask for them. Runs no filter program."""

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

from dulwich.attrs import (
    AttributeValue,
    GitAttributes,
    Pattern,
    compile_gitattributes_patterns,
    parse_git_attributes,
)
from dulwich.config import StackedConfig
from dulwich.line_ending import (
    LineEndingFilter,
    line_ending_filter_for_action,
    read_eol_config,
    resolve_crlf_action,
)

from mlxk.contract.errors import UnsafePath

_Patterns = list[tuple[Pattern, Mapping[bytes, AttributeValue]]]
ReadFile = Callable[[bytes], bytes | None]  # a path below the top -> its content


class Attributes:
    """`read` gives .gitattributes files: from disk when adding files, from the tree when writing
    them out.
    """

    def __init__(self, read: ReadFile, common: Path, config: StackedConfig) -> None:
        self._read = read
        self.may_filter = False  # as far as read: some file names a filter
        info = common / "info" / "attributes"
        self._attributes = GitAttributes(
            self._taken(_user_file(config), b"") + self._folder(b""),
            directory_loader=self._folder,
            info_patterns=self._taken(info.read_bytes() if info.is_file() else b"", b""),
        )
        self._eol, self._autocrlf, _ = read_eol_config(config)

    def clean(self, path: bytes, data: bytes, committed: Callable[[], bytes]) -> bytes:
        """What git would store for a file's bytes. UnsafePath when only a filter program knows."""
        conversion = self._conversion(path, lambda: _has_crlf(committed()))
        return conversion.clean(data) if conversion else data

    def is_filtered(self, path: bytes) -> bool:
        """Only a filter program knows what git stores for this file."""
        return isinstance(self._attributes.match_path(path).get(b"filter"), bytes)

    def smudge(self, path: bytes, data: bytes) -> bytes:
        """What git would write to disk for stored bytes; filters are left undone."""
        conversion = self._ending(self._attributes.match_path(path), lambda: False)
        return conversion.smudge(data) if conversion else data

    def _conversion(self, path: bytes, has_crlf: Callable[[], bool]) -> LineEndingFilter | None:
        found = self._attributes.match_path(path)
        for name in (b"filter", b"working-tree-encoding"):
            if isinstance(value := found.get(name), bytes):
                raise UnsafePath(
                    f"{path.decode(errors='backslashreplace')} changed and needs git's "
                    f"{name.decode()} '{value.decode(errors='replace')}', which mlxk does not run",
                    path=path.decode(errors="backslashreplace"),
                    hint="commit or undo that change yourself, or start with --clean",
                )
        return self._ending(found, has_crlf)

    def _ending(
        self, found: Mapping[bytes, AttributeValue], has_crlf: Callable[[], bool]
    ) -> LineEndingFilter | None:
        action = resolve_crlf_action(found, self._eol, self._autocrlf)
        conversion = line_ending_filter_for_action(action, index_has_crlf=has_crlf)
        if conversion is not None:
            # git looks for binary content only where the attributes left it the choice
            conversion.binary_detection = conversion.require_lf_only
        return conversion

    def _folder(self, folder: bytes) -> _Patterns:
        data = self._read(folder + b"/.gitattributes" if folder else b".gitattributes")
        return self._taken(data or b"", folder)

    def _taken(self, data: bytes, folder: bytes) -> _Patterns:
        self.may_filter |= b"filter" in data
        return _compiled(data, folder) if data else []


def _compiled(data: bytes, base: bytes) -> _Patterns:
    entries = [(p, _expanded(found)) for p, found in parse_git_attributes(BytesIO(data))]
    return compile_gitattributes_patterns(entries, base=base)


def _expanded(found: Mapping[bytes, AttributeValue]) -> Mapping[bytes, AttributeValue]:
    """git's built-in macro: `binary` means `-diff -merge -text`."""
    return {b"text": False, **found} if found.get(b"binary") is True else found


def _user_file(config: StackedConfig) -> bytes:
    try:
        file = Path(config.get((b"core",), b"attributesFile").decode()).expanduser()
    except KeyError:
        return b""
    return file.read_bytes() if file.is_file() else b""


def _has_crlf(data: bytes) -> bool:
    return b"\r\n" in data and b"\0" not in data[:8000]
