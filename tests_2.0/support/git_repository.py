"""A repository made and judged by the real git; the product itself never calls it."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_CONFIG = ["-c", "gc.auto=0", "-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"]


class GitRepository:
    def __init__(self, root, *init):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        if init != ("existing",):
            self.git("init", "-q", *init)
            self.git("config", "user.name", "Somebody")
            self.git("config", "user.email", "somebody@localhost")

    def git(self, *args, at=None, env=None, check=True, text=True):
        env = os.environ | {"GIT_OPTIONAL_LOCKS": "0"} | (env or {})
        done = subprocess.run(
            ["git", *_CONFIG, *args], cwd=at or self.root, env=env, capture_output=True, check=False
        )
        said = (done.stderr + done.stdout).decode(errors="replace")
        assert done.returncode == 0 or not check, f"git {args}: exit {done.returncode}\n{said}"
        return done.stdout.decode(errors="replace").rstrip("\n") if text else done.stdout

    def write(self, path, content="text\n", *, mode=None):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        if mode is not None:
            file.chmod(mode)
        return file

    def commit(self, message="commit"):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def footprint(self):
        """All that belongs to the user: none of it may change."""
        control = self.root / self.git("rev-parse", "--absolute-git-dir")
        common = self.root / self.git("rev-parse", "--git-common-dir")
        refs = self.git("for-each-ref").splitlines()
        logs = {p: p.read_bytes() for p in sorted(common.rglob("logs/**/*")) if p.is_file()}
        return {
            "index": _bytes(control / "index"),
            "head": _bytes(control / "HEAD"),
            "config": _bytes(common / "config"),
            "refs": [line for line in refs if "mlxk/" not in line],
            "packed": _bytes(common / "packed-refs"),
            "reflogs": logs,
            "files": _files(self.root),
        }

    def fsck(self):
        """Empty when every object and ref is well."""
        return self.git("fsck", "--strict", "--no-dangling", "--no-progress")

    def tree_of(self, commit):
        return self.git("rev-parse", f"{commit}^{{tree}}")

    def tree_files(self, commit):
        return self.git("ls-tree", "-r", "--name-only", commit).splitlines()

    def tree_git_would_add(self):
        """`git add -A` into an index of its own."""
        scratch = str(self.root.parent / "scratch.index")
        env = {"GIT_INDEX_FILE": scratch}
        index = self.root / self.git("rev-parse", "--absolute-git-dir") / "index"
        if index.exists():
            (self.root.parent / "scratch.index").write_bytes(index.read_bytes())
        self.git("add", "-A", env=env)
        return self.git("write-tree", env=env)


def _bytes(path):
    return path.read_bytes() if path.exists() else None


def _files(root):
    found = {}
    for folder, names, files in os.walk(root):
        names[:] = [n for n in names if n != ".git"]
        for path in (Path(folder, name) for name in files):
            info = path.lstat()
            found[path] = (info.st_mode, info.st_size, info.st_mtime_ns)
    return found
