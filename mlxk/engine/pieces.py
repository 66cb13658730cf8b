"""The bytes that each token writes: a token may be less than a character. Knows no text around it.

Vocabularies write bytes in one of two ways: every byte as a printable character of its own
(byte-level, as GPT-2 began it), or plain text with `▁` for a space and `<0xE2>` for what is no
character.
"""

import re
from typing import Any

_HEX = re.compile(r"<0x([0-9A-F]{2})>")


class Pieces:
    """Of one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._added: dict[int, bytes] = {
            i: token.content.encode() for i, token in tokenizer.get_added_tokens_decoder().items()
        }
        state = tokenizer.decoder.__getstate__() if tokenizer.decoder else b""
        self._bytes = _byte_level() if b'"ByteLevel"' in state else None

    def of(self, token: int) -> bytes:
        """Empty where an id stands for nothing: weights are often wider than their vocabulary."""
        if (added := self._added.get(token)) is not None:
            return added
        written = self._tokenizer.id_to_token(token) or ""
        if self._bytes is not None:
            return bytes(self._bytes[char] for char in written if char in self._bytes)
        if found := _HEX.fullmatch(written):
            return bytes([int(found[1], 16)])
        return bytes(written.replace("▁", " ").encode())


def _byte_level() -> dict[str, int]:
    """Printable bytes stand for themselves, the others for characters from 256 on, in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    names = {chr(byte): byte for byte in printable}
    return names | {chr(256 + n): byte for n, byte in enumerate(others)}
