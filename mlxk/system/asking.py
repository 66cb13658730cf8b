"""One GET to a server that was named. No proxy and no redirect takes its key elsewhere."""

import http.client
from collections.abc import Mapping
from contextlib import closing
from types import MappingProxyType
from urllib.parse import urlsplit

_LARGEST = 16 << 20


def get(
    url: str, headers: Mapping[str, str] = MappingProxyType({}), *, timeout_s: float
) -> tuple[int, bytes]:
    """The status and the body. OSError: nobody answers in time, or not in HTTP."""
    try:
        place = urlsplit(url)
        secure = place.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        with closing(kind(place.hostname or "", place.port, timeout=timeout_s)) as connection:
            connection.request("GET", place.path or "/", headers=dict(headers))
            reply = connection.getresponse()
            return reply.status, reply.read(_LARGEST)
    except (http.client.HTTPException, ValueError) as e:
        raise OSError(f"no HTTP at {url}") from e
