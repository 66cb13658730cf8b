"""The bytes of tokens, joined, are the text that they were made from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models

from mlxk.engine.pieces import Pieces
from mlxk.engine.tokenizer import load_text
from mlxk.hub import builtin


@pytest.fixture(scope="module")
def text():
    return load_text(builtin.folder("builtin:tiny"))


@given(words=st.text(max_size=40))
def test_of_a_byte_level_vocabulary(text, words):
    words = words.encode("utf-8", "replace").decode()
    ids = text.tokenizer.encode(words, add_special_tokens=False).ids
    assert b"".join(map(text.pieces.of, ids)) == words.encode()


def test_of_one_with_marks_for_spaces_and_bytes():
    vocabulary = {"<unk>": 0, "▁Hi": 1, "▁": 2, "<0xF0>": 3, "<0x9F>": 4}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True)])
    of = Pieces(tokenizer).of
    assert [of(i) for i in range(1, 7)] == [b" Hi", b" ", b"\xf0", b"\x9f", b"<|end|>", b""]
