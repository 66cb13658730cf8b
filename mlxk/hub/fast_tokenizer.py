"""The structure of a tokenizer.json, as the tokenizers library wants it. Builds nothing."""

from mlxk.hub.reading import Document
from mlxk.hub.text import count_of

_DECODERS = (
    *("BPEDecoder", "ByteLevel", "WordPiece", "Metaspace", "CTC", "Sequence"),
    *("Replace", "Fuse", "Strip", "ByteFallback"),
)
# Fields that the library does not fill in by itself.
_REQUIRED = {
    "WordLevel": ("unk_token",),
    "WordPiece": ("unk_token", "continuing_subword_prefix", "max_input_chars_per_word"),
}


def problem(value: Document) -> str | None:
    """The first thing that the library would refuse, as far as its structure tells."""
    added = value.get("added_tokens")
    if not isinstance(added, list):
        return "has no list of added_tokens"
    if not all(map(_is_added, added)):
        return "an added token has no id or no content"
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        if not _is_part(value.get(part), part):
            return f"its {part} is not one"
    model = value.get("model")
    return _model(model) if isinstance(model, dict) else "has no model"


def _is_added(token: object) -> bool:
    if not isinstance(token, dict):
        return False
    return count_of(token.get("id")) is not None and isinstance(token.get("content"), str)


def _is_part(value: object, part: str) -> bool:
    if value is None:
        return True
    kind = value.get("type") if isinstance(value, dict) else None
    return isinstance(kind, str) and (part != "decoder" or kind in _DECODERS)


def _model(model: Document) -> str | None:
    kind = model.get("type")
    if kind not in (None, "BPE", "WordPiece", "WordLevel", "Unigram"):
        return f"names a model of unknown type {kind!r}"
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, list):
        is_scored = all(isinstance(e, list) and len(e) == 2 for e in vocabulary)
        return None if kind in (None, "Unigram") and is_scored else "its vocab is not one"
    if not isinstance(vocabulary, dict) or kind == "Unigram":
        return "its model has no vocab"
    for name in _REQUIRED.get(str(kind), ()):
        if name not in model:
            return f"its model has no {name}"
    is_bpe = kind == "BPE" or (kind is None and "merges" in model)
    return _merges(model.get("merges"), vocabulary) if is_bpe else None


def _merges(merges: object, vocabulary: Document) -> str | None:
    if not isinstance(merges, list):
        return "its model has no merges"
    for merge in merges:
        if isinstance(merge, str) and merge.startswith("#version"):
            continue
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(pair, list) or len(pair) != 2:
            return "a merge is not two tokens"
        for token in pair:
            if not isinstance(token, str) or token not in vocabulary:
                return f"the merge of {token!r} is not in its vocab"
    return None
