"""The Hugging Face Hub as we use it: one handle, its failures in our words. Knows no cache."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mlxk.contract.errors import (
    GatedRepo,
    HubError,
    HubNotFound,
    HubUnauthorized,
    HubUnreachable,
    MlxkError,
    RevisionNotFound,
    UnsafePath,
)
from mlxk.hub import checksum

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """`blob` names its content: sha256 for large files, git's sha1 for the others."""

    name: str
    size: int
    blob: str


@dataclass(frozen=True, slots=True)
class RemoteRepo:
    """One revision of a repository on the hub."""

    name: str
    commit: str
    is_private: bool
    files: tuple[RemoteFile, ...]


def api() -> "HfApi":
    from huggingface_hub import HfApi

    return HfApi(library_name="mlxk")


def revision(name: str, wanted: str | None) -> RemoteRepo:
    """What the hub has under `name@wanted`, files and sizes included."""
    from huggingface_hub.constants import HF_HUB_ETAG_TIMEOUT

    hub = api()
    with _understood(hub.endpoint), translated(name, wanted):
        info = hub.model_info(name, revision=wanted, timeout=HF_HUB_ETAG_TIMEOUT)
        commit = str(info.sha)
        tree = list(hub.list_repo_tree(name, recursive=True, revision=commit))
        files = tuple(_file(entry) for entry in tree if hasattr(entry, "blob_id"))
    return RemoteRepo(name, commit, bool(info.private), files)


def url(repo: RemoteRepo, file: RemoteFile) -> str:
    from huggingface_hub import hf_hub_url

    return hf_hub_url(repo.name, file.name, revision=repo.commit)


@contextmanager
def _understood(endpoint: str) -> Iterator[None]:
    """What answers may be a proxy's page, or anything: huggingface_hub trips over it somewhere."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, KeyError) as e:
        hint = "check HF_ENDPOINT and proxies; a login page in between answers like this"
        raise HubError(f"what answers at {endpoint} is not a hub", hint=hint) from e


@contextmanager
def translated(name: str, wanted: str | None = None) -> Iterator[None]:
    """Turn what huggingface_hub raises into errors that say what to do."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    # Whichever httpx this release is built on: the base of all its errors.
    transport: type[Exception] = HfHubHTTPError.__bases__[0]
    try:
        yield
    except HFValidationError as e:
        raise HubNotFound(f"{name!r} is not a repository name", hint="type org/name") from e
    except OfflineModeIsEnabled as e:
        raise HubUnreachable("HF_HUB_OFFLINE is set", hint="unset HF_HUB_OFFLINE") from e
    except HfHubHTTPError as e:
        raise _from_status(e, name, wanted) from e
    except (transport, ConnectionError) as e:
        raise unreachable(e) from e


def unreachable(e: Exception) -> HubUnreachable:
    return HubUnreachable(
        f"cannot reach the hub: {str(e) or type(e).__name__}",
        hint="check the network, HF_ENDPOINT and proxies, then try again",
    )


def _from_status(e: "HfHubHTTPError", name: str, wanted: str | None) -> MlxkError:
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    status = e.response.status_code
    match e:
        case GatedRepoError():
            hint = f"accept its terms on its page, then {_LOGIN}"
            return GatedRepo(f"{name} is gated", hint=hint, model=name)
        case RevisionNotFoundError():
            return RevisionNotFound(
                f"{name} has no revision {wanted!r} on the hub",
                hint=f"mlxk pull {name}",
                model=name,
                revision=wanted,
            )
        case RepositoryNotFoundError():
            hint = f"check the name; if it is private, {_LOGIN}"
            return HubNotFound(f"the hub has no model {name}", hint=hint, model=name)
    if status in (401, 403):
        return HubUnauthorized(f"the hub refuses access to {name}", hint=_LOGIN, status=status)
    if status == 404:
        return HubNotFound(f"the hub does not have it: {name}", hint="check the name", model=name)
    if status == 429:
        wait = _wait_of(e.response.headers)
        when = f"in {wait:g} s" if wait else "later"
        hint = f"try again {when}; who is logged in may ask more often: {_LOGIN}"
        text = "the hub has been asked too often"
        return HubError(text, hint=hint, status=status, retry_after_s=wait)
    return HubError(f"the hub failed with status {status}", hint="try again later", status=status)


def _wait_of(headers: Mapping[str, str]) -> float | None:
    """The seconds of `Retry-After`, or of the hub's own `RateLimit: "api";r=0;t=12`."""
    after = re.fullmatch(r"\d{1,9}", headers.get("Retry-After", ""))
    found = after or re.search(r"(?<=\bt=)\d{1,9}", headers.get("RateLimit", ""))
    return float(found[0]) if found else None


def _file(entry: Any) -> RemoteFile:
    lfs = entry.lfs
    size, blob = (entry.size, entry.blob_id) if lfs is None else (lfs.size, lfs.sha256)
    path = PurePosixPath(entry.path)
    if path.is_absolute() or ".." in path.parts or not checksum.is_checksum(blob):
        raise UnsafePath(f"the hub names a file {entry.path!r} that would leave the cache")
    return RemoteFile(entry.path, size, blob)
