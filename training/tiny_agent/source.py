"""Random words and names from one seed; knows nothing about requests or tools."""

import random
from collections.abc import Sequence
from typing import TypeVar

from training.tiny_agent.words import (
    BARE_NAMES,
    CODAS,
    EXTENSIONS,
    FOLDERS,
    LETTERS,
    NUCLEI,
    ODD_CHARACTERS,
    ONSETS,
    SCRIPTS,
    WORDS,
)

T = TypeVar("T")


class Source:
    """`held_out` draws dictionary words that training never uses: one in eight.

    `pieces` are the tokenizer's letter pieces: joined at random, so that each is copied somewhere.
    """

    def __init__(self, seed: int, *, held_out: bool = False, pieces: Sequence[str] = ()) -> None:
        self.random = random.Random(f"{'held out' if held_out else 'train'} {seed}")
        self.words = tuple(w for i, w in enumerate(WORDS) if (i % 8 == 3) == held_out)
        self.pieces = tuple(pieces)
        self.recent: list[str] = []
        self.expansive = False  # long conversations also hold long texts

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.random.random() * len(options))]

    def between(self, low: int, high: int) -> int:
        return low + int(self.random.random() * (high - low + 1))

    def word(self) -> str:
        if self.recent and self.chance(
            0.09
        ):  # the same word again: copying must not lose its place
            return self.pick(self.recent)
        word = self._fresh_word()
        self.recent = [*self.recent[-11:], word]
        return word

    def _fresh_word(self) -> str:
        dice = self.random.random()
        if dice < 0.52:
            return self.pick(self.words)
        if dice < 0.85:
            return self.pseudo_word()
        if dice < 0.91:
            return self.letters(2, 8)
        if dice < 0.95 and self.pieces:
            return "".join(self.pick(self.pieces) for _ in range(self.pick((1, 1, 2))))
        return self.misspelt(self.pick(self.words))

    def pseudo_word(self) -> str:
        count = self.pick((1, 2, 2, 2, 3, 3))
        parts = []
        for i in range(count):
            parts += [self.pick(ONSETS), self.pick(NUCLEI)]
            if i == count - 1 or self.chance(0.3):
                parts.append(self.pick(CODAS))
        return "".join(parts)

    def misspelt(self, word: str) -> str:
        at = self.between(0, len(word) - 1)
        return word[:at] + self.pick(LETTERS) + word[at + self.pick((0, 1)) :]

    def letters(self, low: int, high: int) -> str:
        return "".join(self.pick(LETTERS) for _ in range(self.between(low, high)))

    def cased_word(self) -> str:
        word, dice = self.word(), self.random.random()
        return word if dice < 0.8 else word.capitalize() if dice < 0.94 else word.upper()

    def odd_text(self) -> str:
        return "".join(
            self.pick(ODD_CHARACTERS)
            if self.chance(0.6)
            else chr(self.between(*self.pick(SCRIPTS)))
            for _ in range(self.between(1, 4))
        )

    def number(self) -> str:
        dice = self.random.random()
        if dice < 0.6:
            return str(self.between(0, 99))
        if dice < 0.9:
            return str(self.between(100, 99999))
        return f"{self.between(0, 99)}.{self.between(0, 99)}"

    def identifier(self) -> str:
        dice = self.random.random()
        if dice < 0.4:
            return self.word()
        if dice < 0.65:
            return f"{self.word()}_{self.word()}"
        if dice < 0.75:
            return self.word() + self.word().capitalize()
        if dice < 0.85:
            return f"{self.word()}{self.pick(('', '_'))}{self.between(0, 99)}"
        return self.pick(LETTERS)

    def extension(self) -> str:
        return self.pick(EXTENSIONS)

    def stem(self) -> str:
        dice = self.random.random()
        if dice < 0.5:
            return self.word()
        if dice < 0.73:
            return self.word() + self.pick("_-") + self.word()
        if dice < 0.86:
            return f"{self.word()}{self.pick(('', '_', '-', 'v'))}{self.between(0, 2030)}"
        if dice < 0.9:
            return self.pick(LETTERS)
        if dice < 0.94:
            return self.word().capitalize() + self.word().capitalize()
        if dice < 0.96:
            return f"{self.word()}.{self.word()}"
        if dice < 0.97:
            return self.word() + self.odd_text()
        return self.word().upper()

    def file_name(self) -> str:
        """A file name without blanks, sometimes in a folder."""
        if self.chance(0.07):
            name = self.pick(BARE_NAMES)
        else:
            name = self.stem() + ("." + self.extension() if self.chance(0.96) else "")
        return f"{self.folder()}/{name}" if self.chance(0.25) else name

    def path(self) -> str:
        """A file name as a request may give it: a few have blanks or leave the worktree."""
        dice = self.random.random()
        if dice < 0.035:
            return (
                " ".join(self.cased_word() for _ in range(self.pick((2, 2, 3))))
                + "."
                + self.extension()
            )
        if dice < 0.045:
            return self.pick(("../", "/tmp/", "~/", "./")) + self.file_name()
        return self.file_name()

    def folder(self) -> str:
        name = self.pick(FOLDERS) if self.chance(0.5) else self.word()
        if self.chance(0.2):
            name += "/" + (self.pick(FOLDERS) if self.chance(0.4) else self.word())
        if self.chance(0.03):
            name = self.pick(("./", "../", "/", "/tmp/", "~/")) + name
        return name
