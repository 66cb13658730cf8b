"""Text comes whole: no broken characters, no lost spaces, no stop string that slips through."""

import pytest
from hypothesis import given
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
