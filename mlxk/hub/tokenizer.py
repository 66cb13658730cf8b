"""Is there a tokenizer, and would it parse? Checks structure, builds nothing."""

from collections.abc import Iterator

from mlxk.hub import text
from mlxk.hub.inspect import Facts
from mlxk.hub.reading import TOKENIZER_CONFIG, Document, Reading

TOKENIZER = "tokenizer.json"
_SIDE = (TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json")
_MODELS = frozenset(("BPE", "WordPiece", "WordLevel", "Unigram"))
# A sentencepiece model is a protobuf whose first field, the pieces, has this tag.
_PIECE = b"\x0a"


def problems(reading: Reading, facts: Facts) -> Iterator[str]:
    if facts.framework == "GGUF":
        return
    for name in _SIDE:
        if isinstance(problem := reading.documents.get(name), str):
            yield f"{name}: {problem}"
    yield from _template(reading)
    if reading.has(TOKENIZER):
        yield from _fast(reading)
    elif reading.has("tokenizer.model"):
        yield from _sentencepiece(reading, "tokenizer.model")
    elif reading.has("vocab.json"):
        yield from _vocabulary(reading)
    elif not _is_tokenless(reading, facts):
        yield f"{TOKENIZER}: missing, and there is no other tokenizer"


def _is_tokenless(reading: Reading, facts: Facts) -> bool:
    """Other files serve, or nothing here speaks text: whisper, image and sound models."""
    if reading.has("vocab.txt") or reading.named(".tiktoken", "tiktoken.model", "spiece.model"):
        return True
    return facts.kind == "unknown" and facts.framework != "Unknown"


def _fast(reading: Reading) -> Iterator[str]:
    file = reading.contents.find(TOKENIZER)
    if file is None or file.problem:
        return
    path = reading.contents.path(TOKENIZER)
    if not reading.thorough and not text.is_small(file.size):
        found = text.looks_whole(path, file.size)
    else:
        value = text.objects(path)
        found = value if isinstance(value, str) else _structure(value)
    if found:
        yield f"{TOKENIZER}: {found}"


def _structure(value: Document) -> str | None:
    """What the tokenizers library refuses, as far as it can be seen without building one."""
    if not isinstance(value.get("added_tokens"), list):
        return "has no list of added_tokens"
    model = value.get("model")
    if not isinstance(model, dict):
        return "has no model"
    kind = model.get("type")
    if kind is not None and kind not in _MODELS:
        return f"names a model of unknown type {kind!r}"
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, (dict, list)):
        return "its model has no vocab"
    return _merges(model) if kind == "BPE" else None


def _merges(model: Document) -> str | None:
    merges = model.get("merges")
    if not isinstance(merges, list):
        return "its model has no merges"
    for merge in merges:
        if isinstance(merge, str):
            if merge.count(" ") != 1:
                return f"merge {merge!r} is not two tokens"
        elif not (isinstance(merge, list) and len(merge) == 2):
            return "a merge is not two tokens"
    return None


def _sentencepiece(reading: Reading, name: str) -> Iterator[str]:
    file = reading.contents.find(name)
    if file is None or file.problem:
        return
    raw = text.content(reading.contents.path(name))
    if isinstance(raw, str):
        yield f"{name}: {raw}"
    elif not raw.startswith(_PIECE) or text.impostor(raw[:200]):
        found = text.impostor(raw[:200]) or (
            "is empty" if not raw else "is not a sentencepiece model"
        )
        yield f"{name}: {found}"


def _vocabulary(reading: Reading) -> Iterator[str]:
    file = reading.contents.find("vocab.json")
    if file is None or file.problem:
        return
    value = text.objects(reading.contents.path("vocab.json"))
    if isinstance(value, str):
        yield f"vocab.json: {value}"
    merges = reading.contents.find("merges.txt")
    if merges is None:
        yield "merges.txt: missing, vocab.json needs it"
    elif not merges.problem:
        raw = text.content(reading.contents.path("merges.txt"))
        found = raw if isinstance(raw, str) else text.impostor(raw[:200])
        if found or not raw:
            yield f"merges.txt: {found or 'is empty'}"


def _template(reading: Reading) -> Iterator[str]:
    name = "chat_template.jinja"
    file = reading.contents.find(name)
    if file is None or file.problem:
        return
    raw = text.content(reading.contents.path(name))
    if isinstance(raw, bytes) and not text.is_utf8(raw):
        yield f"{name}: is not UTF-8"
