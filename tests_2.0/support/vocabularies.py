"""Small tokenizers of the four kinds that models have, made here."""

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

END = AddedToken("<|end|>", special=True)
_TEXTS = [
    "Hello world, the quick brown fox. don't stop, it's 12345 here\n",
    "def f(x):\n    return x + 1\n",
    "Grüße aus Köln: 日本語のテキスト",
]


def byte_level() -> Tokenizer:
    """As GPT-2, Qwen and Mistral since Nemo."""
    return _bytes(models.BPE(), pre_tokenizers.ByteLevel(add_prefix_space=False))


def tiktoken() -> Tokenizer:
    """As Llama 3 and gpt-oss: words are split by a pattern of their own."""
    pattern = Regex(r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+")
    words = pre_tokenizers.Split(pattern, "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return _bytes(models.BPE(ignore_merges=True), pre_tokenizers.Sequence([words, level]))


def sentencepiece() -> Tokenizer:
    """As Llama 2 and Gemma: spaces are marks, and what it has no word for is bytes."""
    words = ["▁", "▁Hello", "▁world", "▁the", "'t", *"abcdefghijklmnopqrstuvwxyzH.,é日"]
    pieces = [
        ("<unk>", 0.0),
        *((f"<0x{byte:02X}>", -20.0) for byte in range(256)),
        *((word, -5.0 - len(words) / 100) for word in words),
    ]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens([END])
    return tokenizer


def wordpiece() -> Tokenizer:
    """As BERT: a word's later pieces begin with `##`, and its decoder puts the spaces back."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]", END])
    tokenizer.train_from_iterator(_TEXTS, trainer)
    return tokenizer


def _bytes(model: models.Model, split: pre_tokenizers.PreTokenizer) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=350,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[END],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    return tokenizer
