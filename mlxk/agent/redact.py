"""Keep secrets out of what a tool's output carries into the conversation."""

import os
import re
from collections.abc import Callable, Mapping

_MARK = "[redacted]"
_LONGEST = 65536
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)S?$", re.IGNORECASE)
_SHAPES = re.compile(
    r"""
    \b(?: sk-(?:ant-|proj-|or-v1-)?[A-Za-z0-9_-]{20,}    # OpenAI, Anthropic, OpenRouter
      | hf_[A-Za-z0-9]{30,}                              # Hugging Face
      | gh[pousr]_[A-Za-z0-9]{36,} | github_pat_\w{22,}  # GitHub
      | glpat-[\w-]{20,}                                 # GitLab
      | AKIA[0-9A-Z]{16} | ASIA[0-9A-Z]{16}              # AWS
      | AIza[\w-]{35}                                    # Google
      | xox[abprs]-[A-Za-z0-9-]{10,}                     # Slack
    )\b
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[\s\S]*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    """,
    re.VERBOSE,
)


def redacted(text: str, env: Mapping[str, str] = os.environ) -> str:
    """`text` without values of secret-looking variables and without well-known key shapes."""
    for name, value in sorted(env.items(), key=lambda row: -len(row[1])):
        if len(value) >= 8 and _SECRET_NAME.search(name):
            text = text.replace(value, _MARK)
    return _SHAPES.sub(_MARK, text)


class Redactor:
    """The same for text that comes in pieces: a secret may be cut in two."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._held = ""

    def feed(self, text: str) -> None:
        """Pass on whole lines; a private key is held until its last one."""
        self._held += text
        end = self._held.rfind("\n") + 1
        key = self._held.rfind("-----BEGIN")
        if key >= 0 and "-----END" not in self._held[key:]:
            end = min(end, key)
        if len(self._held) > _LONGEST:
            end = end or len(self._held)
        if end:
            ready, self._held = self._held[:end], self._held[end:]
            self._send(redacted(ready))

    def flush(self) -> None:
        if self._held:
            self._send(redacted(self._held))
            self._held = ""
