"""Text comes whole: no broken characters, no lost spaces, no stop string that slips through."""

from functools import cache

import pytest
import vocabularies
from hypothesis import assume, given
from hypothesis import strategies as st
from tiny_models import tokenizer
from tokenizers import Tokenizer, decoders, models

from mlxk.engine.text import Detokenizer, StopScanner


class Ids:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def decode(self, ids):
        return self.tokenizer.decode(list(ids), skip_special_tokens=False)


BYTES = tokenizer()


@given(st.text(max_size=40), st.text(min_size=1, max_size=10))
def test_pieces_add_up_to_the_text(text, prompt):
    pieces = Detokenizer(Ids(BYTES), BYTES.encode(prompt).ids)
    got = [pieces.feed([token]) for token in BYTES.encode(text).ids]
    assert "".join(got) + pieces.flush() == text
    assert not any("\ufffd" in piece for piece in got) or "\ufffd" in text


KINDS = {
    name: cache(getattr(vocabularies, name))
    for name in ("byte_level", "tiktoken", "sentencepiece", "wordpiece")
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
SPICE = [
    "👩‍👩‍👧",
    "🏳️‍🌈",
    "😀",
    "日本",
    "e\u0301",
    "é",
    " ",
    "  ",
    "\n",
    "don't",
    ".",
    "Hello",
    "<|end|>",
]
texts = st.lists(st.sampled_from(SPICE) | st.text(max_size=5), max_size=12).map("".join)


def streamed(tokenizer, prompt, ids):
    pieces = Detokenizer(Ids(tokenizer), prompt)
    return [*(pieces.feed([token]) for token in ids), pieces.flush()]


@EVERY_KIND
@given(prompt=texts, answer=texts)
def test_pieces_add_up_in_every_kind_of_vocabulary(kind, prompt, answer):
    tokenizer = kind()
    before, ids = (tokenizer.encode(text).ids for text in (prompt, answer))
    decode = Ids(tokenizer).decode
    whole, told = decode(before + ids), decode(before)
    assume(whole.startswith(told))
    pieces = streamed(tokenizer, before, ids)
    assert "".join(pieces) == whole[len(told) :]
    assert not any("\ufffd" in piece for piece in pieces) or "\ufffd" in whole


@EVERY_KIND
@given(data=st.data())
def test_any_ids_add_up_even_if_their_bytes_do_not(kind, data):
    tokenizer = kind()
    ids = data.draw(st.lists(st.integers(0, tokenizer.get_vocab_size() - 1), max_size=40))
    whole, pieces = Ids(tokenizer).decode(ids), "".join(streamed(tokenizer, [], ids))
    if kind is KINDS["sentencepiece"]:
        # Its decoder gives up a whole run of bytes for one that is wrong.
        assume("\ufffd" not in whole)
    assert pieces == whole


def test_bytes_that_never_become_a_character_are_released_at_the_end():
    pieces = Detokenizer(Ids(BYTES), [])
    first = BYTES.encode("é").ids[0]
    assert pieces.feed([first]) == ""
    assert pieces.flush() == "\ufffd"


def test_the_first_space_of_an_answer_is_kept():
    words = Tokenizer(models.WordLevel({"▁a": 0, "▁b": 1, "c": 2}, unk_token="c"))
    words.decoder = decoders.Metaspace()
    pieces = Detokenizer(Ids(words), [0])
    assert pieces.feed([1]) + pieces.feed([2]) == " bc"


def test_hidden_tokens_leave_no_text():
    pieces = Detokenizer(Ids(BYTES), [], hidden=[1])
    assert pieces.feed([1, *BYTES.encode("a").ids]) == "a"


def scan(stops, *pieces):
    scanner = StopScanner(stops)
    text = "".join(scanner.feed(piece) for piece in pieces)
    return text + scanner.flush(), scanner.found


@pytest.mark.parametrize(
    ("pieces", "result"),
    [
        (("ab", "cd"), ("ab", "cd")),
        (("abc", "d"), ("ab", "cd")),
        (("ab", "c"), ("abc", None)),
        (("abccd",), ("abc", "cd")),
        (("xx",), ("xx", None)),
        (("a", "c", "d", "z"), ("a", "cd")),
    ],
    ids=str,
)
def test_a_stop_string_is_found_across_pieces(pieces, result):
    assert scan(["cd"], *pieces) == result


def test_nothing_leaks_that_may_become_a_stop():
    scanner = StopScanner(["STOP"])
    assert [scanner.feed(piece) for piece in ("go S", "TO", "RE")] == ["go ", "", "STORE"]


def test_the_earliest_stop_wins_and_the_longest_of_these():
    assert scan(["b", "abc", "ab"], "xabc") == ("x", "abc")
