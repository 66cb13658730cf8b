"""Documents and stacks in `$MLXK_HOME`: read, checked, written whole. Knows no process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument, InvalidValue, NotFound
from mlxk.deploy import document, gateway, settings, stack
from mlxk.deploy.document import GATEWAY, Deployment
from mlxk.deploy.settings import Settings
from mlxk.deploy.stack import Stack
from mlxk.system import files


@dataclass(frozen=True, slots=True)
class Store:
    """The folder of one user's declared services. Reading never creates it."""

    home: Path

    def path(self, name: str) -> Path:
        return self.home / "deployments" / f"{checked(name)}.json"

    def stack_path(self, name: str) -> Path:
        return self.home / "stacks" / f"{checked(name)}.json"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    def names(self) -> tuple[str, ...]:
        return _stems(self.home / "deployments")

    def stacks(self) -> tuple[str, ...]:
        return _stems(self.home / "stacks")

    def raw(self, name: str) -> Any:
        """The document as it is written, unchecked."""
        return _read(self.path(name), f"deployment {name}", "mlxk deploy list")

    def load(self, name: str) -> Deployment:
        if name == GATEWAY:
            return gateway.deployment(self)
        return document.parse(self.raw(name), name=name)

    def save(self, value: dict[str, Any]) -> Path:
        """Only what is valid is written."""
        path = self.path(document.parse(value).name)
        files.write_atomic(path, encoding.dumps(value, newline=True, indent=True))
        return path

    def remove(self, name: str) -> Path:
        path = self.path(name)
        if not path.exists():
            raise NotFound(f"no deployment is called {name!r}", hint="mlxk deploy list", name=name)
        path.unlink()
        return path

    def stack(self, name: str) -> Stack:
        what, known = f"stack {name}", "|".join(self.stacks())
        hint = f"mlxk config set stack {known}" if known else "mlxk init"
        return stack.parse(_read(self.stack_path(name), what, hint), what)

    def save_stack(self, value: dict[str, Any]) -> Path:
        path = self.stack_path(stack.parse(value, "stack").name)
        files.write_atomic(path, encoding.dumps(value, newline=True, indent=True))
        return path

    def settings(self) -> Settings:
        return settings.load(self.home)

    def active(self) -> Stack | None:
        """The stack that `up` without a target means."""
        name = self.settings().stack
        return self.stack(name) if name else None

    def without(self, gone: str) -> None:
        """Take a removed deployment out of every stack."""
        for name in self.stacks():
            value = _read(self.stack_path(name), f"stack {name}", "mlxk init")
            routes = {k: v for k, v in value.get("routes", {}).items() if v != gone}
            rest = [d for d in value.get("deployments", []) if d != gone]
            if rest != value.get("deployments"):
                self.save_stack({**value, "deployments": rest, "routes": routes})


class Documents:
    """Deployments, each read and checked again only when its file has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, tuple[int, Deployment]] = {}

    def load(self, name: str) -> Deployment:
        try:
            changed = self._file(name).stat().st_mtime_ns
        except FileNotFoundError:
            return self._store.load(name)
        if name not in self._read or self._read[name][0] != changed:
            self._read[name] = (changed, self._store.load(name))
        return self._read[name][1]

    def _file(self, name: str) -> Path:
        """What the gateway is stands in its stack."""
        store = self._store
        if name == GATEWAY:
            return store.stack_path(store.settings().stack or "")
        return store.path(name)


def checked(name: str) -> str:
    """A name is a file's name: nothing else may come in."""
    if not document.NAME.fullmatch(name):
        hint = "letters, digits, dot, dash and underscore; at most 64"
        raise InvalidValue(f"{name!r} is no name for a deployment", hint=hint, name=name)
    return name


def _read(path: Path, what: str, hint: str) -> Any:
    try:
        data = path.read_bytes()
    except FileNotFoundError as e:
        name = path.stem
        raise NotFound(f"there is no {what}", hint=hint, name=name) from e
    try:
        return encoding.loads(data, what)
    except InvalidDocument as e:
        problems = [{"pointer": "", "message": str(e)}]
        raise InvalidDocument(str(e), hint=f"edit {path}", problems=problems) from e


def _stems(folder: Path) -> tuple[str, ...]:
    found = (path.stem for path in folder.glob("*.json")) if folder.is_dir() else ()
    return tuple(sorted(name for name in found if document.NAME.fullmatch(name)))
