"""Addresses and ports of this machine. Speaks no protocol."""

import errno
import resource
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from mlxk.contract.errors import InvalidValue, PermissionDenied, PortConflict

# As many open files as every system lets a process have.
_CONNECTIONS = 10_240


def expect_many() -> None:
    """Each connection is an open file, and systems begin with 256 or 1024: take what is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, _CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def hostname(url: str) -> str:
    """Empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def reachable(host: str) -> str:
    """Where a server that listens on `host` can be asked from here."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str) -> int:
    """A port that nobody has; it may be taken the next moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def translated(port: int) -> Iterator[None]:
    """Turn what the system says about listening there into errors that users can act on."""
    try:
        yield
    except OSError as e:
        if e.errno == errno.EADDRINUSE:
            hint = "--port auto takes a free one"
            raise PortConflict(f"port {port} is in use", hint=hint, port=port) from e
        if e.errno in (errno.EACCES, errno.EPERM):
            raise PermissionDenied(f"port {port} needs more rights", port=port) from e
        raise InvalidValue(f"cannot listen: {e.strerror or e}", port=port) from e
