"""Real repositories to run in, and a fingerprint of all that an agent must never touch."""

import hashlib
import subprocess
from pathlib import Path


def git(repo, *argv, check=True, **options):
    done = subprocess.run(
        ["git", "-C", str(repo), *argv], capture_output=True, check=check, **options
    )
    return done.stdout.decode(errors="replace").strip()


def make(folder, *, files=None, commit=True):
    """A repository with one commit and an identity of its own."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "A User")
    git(folder, "config", "user.email", "user@example.org")
    for name, text in (files or {"a.txt": "one\n"}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if commit:
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "first")
    return folder


def fingerprint(repo):
    """Index bytes, HEAD, configuration, reflogs, branches that are not ours, files and status."""
    dot = Path(git(repo, "rev-parse", "--absolute-git-dir"))
    kept = [dot / "index", dot / "HEAD", dot / "config", *sorted((dot / "logs").rglob("*"))]
    kept = [p for p in kept if p.is_file() and "mlxk" not in str(p.relative_to(dot))]
    digests = {str(p.relative_to(dot)): hashlib.sha256(p.read_bytes()).hexdigest() for p in kept}
    refs = [r for r in git(repo, "for-each-ref").splitlines() if "/mlxk/" not in r]
    tree = {str(p): p.read_bytes() for p in sorted(repo.rglob("*")) if _users(p, repo)}
    return digests, refs, tree, git(repo, "--no-optional-locks", "status", "--porcelain=v2")


def _users(path, repo):
    return path.is_file() and ".git" not in path.relative_to(repo).parts
