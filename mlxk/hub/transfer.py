"""Bring one file of the hub to this disk: resumed, counted, verified. Knows no cache layout."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mlxk.contract.errors import HubError, HubUnreachable
from mlxk.hub import checksum, client
from mlxk.hub.client import RemoteFile, RemoteRepo
from mlxk.hub.fleet import Tick
from mlxk.system.files import translated

_ATTEMPTS = 5
_TIMEOUT = 30.0
_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Job:
    """`tick` is told of every byte that counts; it raises when the work should end."""

    repo: RemoteRepo
    file: RemoteFile
    partial: Path
    tick: Tick


class _NoMore(Exception):
    """The hub's file ends where ours does, before the size that it announced."""


def fetch(job: Job) -> None:
    """Fill `job.partial` with the file, going on from the bytes it holds; verify at the end."""
    for attempt in range(2):
        size = _resume(job)
        digest = checksum.start(job.file.blob, job.file.size)
        checksum.feed(digest, str(job.partial))
        if size == job.file.size and digest.hexdigest() == job.file.blob:
            return
        job.partial.unlink()
        job.tick(-size)
        if attempt:
            raise HubError(
                f"{job.file.name}: what the hub sends is not what it announces",
                hint="try again; if it stays, tell the owner of the repository",
                file=job.file.name,
            )


def _resume(job: Job) -> int:
    """Bytes on disk after as many connections as it takes; progress renews the patience."""
    failures = 0
    with translated(job.partial), job.partial.open("ab", buffering=0) as target:
        if target.tell() > job.file.size:
            target.truncate(0)
        while (done := target.seek(0, 2)) < job.file.size:
            try:
                with client.translated(job.repo.name):
                    _stream(job, target, done)
            except _NoMore:
                return done
            except (HubUnreachable, HubError) as e:
                failures = 1 if target.tell() > done else failures + 1
                wait = e.details.get("retry_after_s") or 0.0
                if not e.retryable or failures >= _ATTEMPTS or wait > _LONGEST_WAIT:
                    raise
                _pause(job, max(wait, 0.1 * 2**failures))
        return target.tell()


def _stream(job: Job, target: BinaryIO, done: int) -> None:
    from huggingface_hub import get_session
    from huggingface_hub.utils._headers import build_hf_headers
    from huggingface_hub.utils._http import hf_raise_for_status

    headers = {**build_hf_headers(library_name="mlxk"), "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    url = client.url(job.repo, job.file)
    with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT) as response:
        if response.status_code == 416:
            raise _NoMore
        hf_raise_for_status(response)
        if done and response.status_code != 206:
            # The server sends the whole file whatever we asked for.
            target.truncate(0)
            job.tick(-done)
            done = 0
        _copy(job, response, target, job.file.size - done)


def _copy(job: Job, response: Any, target: BinaryIO, limit: int) -> None:
    for chunk in response.iter_bytes():
        piece = memoryview(chunk)[:limit]
        limit -= len(piece)
        too_long = len(piece) < len(chunk)
        while piece:
            count = target.write(piece)  # a disk that is nearly full takes a part
            piece = piece[count:]
            job.tick(count)
        if too_long:
            raise HubError(f"{job.file.name}: the hub sends more than it announced")
    if limit:
        raise HubError(f"{job.file.name}: the connection ended {limit} bytes early")


def _pause(job: Job, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job.tick(0)
        time.sleep(0.05)
