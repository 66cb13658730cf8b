"""Make real output comparable: what differs from run to run gets a steady value of its kind."""

import re

_FOLDER = re.compile(r"(?<=/project)-[0-9a-f]{8}(?=/)")
_HASH = re.compile(r"\b[0-9a-f]{40}\b|\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b")
_TIMES = ("_s", "seconds", "_tps")
_KNOWN = {
    "python": "3.12.0",
    "platform": "linux-x86_64",
    "memory_total_bytes": 68719476736,
    "chip": "Example CPU",
    "pid": 4711,
    "port": 8000,
    "url": "http://127.0.0.1:8000",
    "endpoint": "http://127.0.0.1:8000",
    "ts": "2026-01-01T12:00:00Z",
    "time": "2026-01-01T12:00:00Z",
    "last_activity": "2026-01-01T12:00:00Z",
    "removed_at": "2026-01-01T12:00:00Z",
    "last_modified": "2026-01-01T12:00:00Z",
}


class Steady:
    """Equal values stay equal: the first hash seen is 1, the next 2, and so on."""

    def __init__(self, **words):
        self._words = words  # text to replace -> what to show
        self._hashes = {}
        self._names = {}

    def value(self, value, key=""):
        match value:
            case dict():
                return {k: self.value(v, k) for k, v in value.items()}
            case list():
                return [self.value(v, key) for v in value]
            case str() if key in _KNOWN:
                return _KNOWN[key]
            case str():
                return self._text(value, key)
            case bool() | None:
                return value
            case int() | float() if key in _KNOWN:
                return _KNOWN[key]
            case float() if key.endswith(_TIMES):
                return 0.5
        return value

    def _text(self, text, key):
        if key in ("session", "parent", "id") and not _HASH.fullmatch(text):
            text = self._names.setdefault(text, f"{key}-{len(self._names) + 1}")
        for old, new in self._words.items():
            text = text.replace(old, new)
        for name, new in self._names.items():
            text = text.replace(name, new)
        return _HASH.sub(self._hash, _FOLDER.sub("-12345678", text))

    def _hash(self, found):
        digest = found.group()
        known = next((n for h, n in self._hashes.items() if h.startswith(digest)), None)
        number = known or self._hashes.setdefault(digest, len(self._hashes) + 1)
        return f"{number:x}".ljust(len(digest), "0")


def merged(lines):
    """How many tokens a step brings is chance: pieces of text are joined, heartbeats dropped."""
    kept = []
    for line in lines:
        if line.get("type") == "heartbeat":
            continue
        if kept and line.get("type") == kept[-1].get("type") in ("text", "text.delta"):
            _text_of(kept[-1])["text"] += _text_of(line)["text"]
        else:
            kept.append(line)
    for number, line in enumerate(kept, 1):
        if "seq" in line:
            line["seq"] = number
    return kept


def _text_of(line):
    return line["data"] if line["type"] == "text.delta" else line
