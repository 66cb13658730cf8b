"""Is there a tokenizer, and would it parse? Checks structure, builds nothing."""

from collections.abc import Iterator

from mlxk.hub import fast_tokenizer, text
from mlxk.hub.inspect import Facts
from mlxk.hub.reading import TOKENIZER_CONFIG, Reading

TOKENIZER = "tokenizer.json"
_SIDE = (TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json")
# Pieces of the largest vocabularies, and of what a listing has time for.
_FIELDS = 10_000_000
_FEW_FIELDS = 4096


def problems(reading: Reading, facts: Facts) -> Iterator[str]:
    if facts.framework == "GGUF":
        return
    for name in _SIDE:
        if isinstance(problem := reading.documents.get(name), str):
            yield f"{name}: {problem}"
    yield from _template(reading)
    kind = reading.document(TOKENIZER_CONFIG).get("tokenizer_class")
    if kind is not None and not isinstance(kind, str):
        yield f"{TOKENIZER_CONFIG}: tokenizer_class is not a name"
    yield from _vocabularies(reading, facts, str(kind))


def _vocabularies(reading: Reading, facts: Facts, kind: str) -> Iterator[str]:
    """The first of the files that transformers would take, in its order."""
    if reading.has(TOKENIZER):
        yield from _fast(reading)
    elif reading.has("tokenizer.model"):
        yield from _sentencepiece(reading, "tokenizer.model")
    elif kind == "PreTrainedTokenizerFast":
        yield f"{TOKENIZER}: missing, {TOKENIZER_CONFIG} asks for it"
    elif reading.has("vocab.json"):
        yield from _vocabulary(reading)
    elif reading.has("vocab.txt"):
        yield from _words(reading, "vocab.txt")
    elif not _is_tokenless(reading, facts):
        yield f"{TOKENIZER}: missing, and there is no other tokenizer"


def _is_tokenless(reading: Reading, facts: Facts) -> bool:
    """Other files serve, or nothing here speaks text: whisper, image and sound models."""
    if reading.named(".tiktoken", "tiktoken.model", "spiece.model"):
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
        found = value if isinstance(value, str) else fast_tokenizer.problem(value)
    if found:
        yield f"{TOKENIZER}: {found}"


def _sentencepiece(reading: Reading, name: str) -> Iterator[str]:
    file = reading.contents.find(name)
    if file is None or file.problem:
        return
    raw = text.content(reading.contents.path(name))
    if isinstance(raw, str):
        yield f"{name}: {raw}"
    elif found := text.impostor(raw[:200]):
        yield f"{name}: {found}"
    elif not raw:
        yield f"{name}: is empty"
    elif not _is_message(raw, _FIELDS if reading.thorough else _FEW_FIELDS):
        yield f"{name}: is not a whole sentencepiece model"


def _is_message(raw: bytes, limit: int) -> bool:
    """Whether the bytes are a whole protobuf message: a row of fields that ends with the file.

    https://protobuf.dev/programming-guides/encoding
    """
    at, size = 0, len(raw)
    for _ in range(limit):
        if at >= size:
            return at == size
        tag, at = _varint(raw, at)
        match tag & 7:
            case 0:
                _, at = _varint(raw, at)
            case 1:
                at += 8
            case 2:
                length, at = _varint(raw, at)
                at += length
            case 5:
                at += 4
            case _:
                return False
    return True


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """The number at this place and where the next begins; past the end when it is cut."""
    value = shift = 0
    for byte in raw[at : at + 10]:
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
    return 0, len(raw) + 1


def _words(reading: Reading, name: str) -> Iterator[str]:
    """A list of tokens, one a line."""
    file = reading.contents.find(name)
    if file is None or file.problem:
        return
    raw = text.content(reading.contents.path(name))
    found = raw if isinstance(raw, str) else text.impostor(raw[:200])
    if found or not raw:
        yield f"{name}: {found or 'is empty'}"


def _vocabulary(reading: Reading) -> Iterator[str]:
    file = reading.contents.find("vocab.json")
    if file is None or file.problem:
        return
    value = text.objects(reading.contents.path("vocab.json"))
    if isinstance(value, str):
        yield f"vocab.json: {value}"
    if reading.has("merges.txt"):
        yield from _words(reading, "merges.txt")
    else:
        yield "merges.txt: missing, vocab.json needs it"


def _template(reading: Reading) -> Iterator[str]:
    name = "chat_template.jinja"
    file = reading.contents.find(name)
    if file is None or file.problem:
        return
    raw = text.content(reading.contents.path(name))
    if isinstance(raw, bytes) and not text.is_utf8(raw):
        yield f"{name}: is not UTF-8"
