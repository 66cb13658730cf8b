"""A small byte-level BPE whose pieces are the same in a request and inside the JSON of a tool call.

Blanks are pieces of their own, digits are single, JSON escapes are one piece.
"""

from collections.abc import Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from training.tiny_agent.conversations import converse
from training.tiny_agent.render import MARKS, SPECIAL, render, text_of
from training.tiny_agent.source import Source
from training.tiny_agent.words import FILLERS, FOLDERS, WORDS

_SPLIT = r'\\["\\/bfnrt]|\p{L}+|\p{N}| +|\n|\t|[^\s\p{L}\p{N}]|\s'


def train_tokenizer(size: int, samples: int = 6000) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(MARKS),
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in SPECIAL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(samples), trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in MARKS])
    return tokenizer


def letter_pieces(tokenizer: Tokenizer) -> tuple[str, ...]:
    return tuple(
        sorted(piece for piece in tokenizer.get_vocab() if piece.isascii() and piece.isalpha())
    )


def _texts(samples: int) -> Iterator[str]:
    source = Source(12345)
    for _ in range(samples):
        conversation = converse(source)
        text = text_of(render(conversation.messages, conversation.tools))
        for special in SPECIAL:
            text = text.replace(special, "\n")
        yield text
    for _ in range(3):
        yield " ".join((*WORDS, *FILLERS, *FOLDERS))
