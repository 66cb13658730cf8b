"""Keep secrets out of what a tool's output carries into the conversation."""

import os
import re
from collections.abc import Mapping

_MARK = "[redacted]"
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
    for name, value in env.items():
        if len(value) >= 8 and _SECRET_NAME.search(name):
            text = text.replace(value, _MARK)
    return _SHAPES.sub(_MARK, text)
