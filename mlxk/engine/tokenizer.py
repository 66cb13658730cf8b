"""Text to token ids and back, and what a model's folder says about its text. Knows no requests.

`tokenizer.json` is read by the `tokenizers` library itself: transformers costs more than a
second to import. Only a folder without that file takes the long way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from tokenizers import Tokenizer

from mlxk.contract import encoding
from mlxk.contract.errors import ModelUnhealthy, RuntimeIncompatible
from mlxk.engine.pieces import Pieces
from mlxk.engine.policy import Defaults
from mlxk.engine.template import ChatTemplate

_LENGTH_FIELDS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")


@dataclass(frozen=True, slots=True)
class TextModel:
    """Everything about a model that is not its weights.

    `parser` is what mlx-lm calls the model's way to write tool calls, where its folder says it.
    """

    tokenizer: Any
    pieces: Pieces
    template: ChatTemplate | None
    special: Mapping[int, str]
    stop: tuple[int, ...]
    defaults: Defaults
    vocabulary: int
    context: int | None
    parser: str | None = None

    def has_token(self, text: str) -> bool:
        return self.tokenizer.token_to_id(text) is not None

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """`special` adds what the tokenizer puts around raw text; a chat template has its own."""
        return list(self.tokenizer.encode(encoding.valid(text), add_special_tokens=special).ids)

    def has_tokens_of(self, other: "TextModel") -> bool:
        mine, theirs = (each.tokenizer.get_vocab() for each in (self, other))
        return bool(mine == theirs)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))


def load_text(folder: Path) -> TextModel:
    config = _json(folder / "config.json", required=True)
    settings = _json(folder / "tokenizer_config.json")
    generation = _json(folder / "generation_config.json")
    tokenizer = load_tokenizer(folder)
    width = tokenizer.get_vocab_size()
    nested = config.get("text_config") or {}
    return TextModel(
        tokenizer=tokenizer,
        pieces=Pieces(tokenizer),
        template=_template(folder, settings),
        special={
            i: t.content for i, t in tokenizer.get_added_tokens_decoder().items() if t.special
        },
        stop=_stop_ids(tokenizer, config, settings, generation),
        defaults=_defaults(generation),
        vocabulary=int(config.get("vocab_size") or nested.get("vocab_size") or width),
        context=_context(config, nested),
        parser=_content(settings.get("tool_parser_type")),
    )


def load_tokenizer(folder: Path) -> Any:
    """Whole texts only: a file may ask to cut or to fill them, as its training did."""
    path = folder / "tokenizer.json"
    tokenizer = _parsed(path) if path.is_file() else _converted(folder)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _parsed(path: Path) -> Any:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as e:  # tokenizers raises bare Exception for whatever it cannot parse
        raise ModelUnhealthy(f"{path.name} does not parse: {e}", file=path.name) from e


def _converted(folder: Path) -> Any:
    """A SentencePiece or vocab+merges folder, by transformers' converter; no code of the model."""
    from transformers import AutoTokenizer  # noqa: PLC0415 -- over a second, and rarely needed

    try:
        slow = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as e:
        raise ModelUnhealthy(f"{folder.name} has no tokenizer that loads: {e}") from e
    backend = getattr(slow, "backend_tokenizer", None)
    if backend is None:
        raise RuntimeIncompatible(f"{folder.name} has a tokenizer that needs its own code")
    return backend


def _json(path: Path, *, required: bool = False) -> dict[str, Any]:
    if not path.is_file():
        if required:
            raise ModelUnhealthy(f"{path.name} is missing in {path.parent}", file=path.name)
        return {}
    try:
        value = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as e:
        raise ModelUnhealthy(f"{path.name} is not JSON: {e}", file=path.name) from e
    if not isinstance(value, dict):
        raise ModelUnhealthy(f"{path.name} is not a JSON object", file=path.name)
    return value


def _template(folder: Path, settings: Mapping[str, Any]) -> ChatTemplate | None:
    """The file beside the tokenizer wins over the entry in its configuration. Where there are
    several, one may be for requests with tools."""
    file = folder / "chat_template.jinja"
    extra = folder / "additional_chat_templates" / "tool_use.jinja"
    for_tools: Any = extra.read_text() if extra.is_file() else None
    legacy = _json(folder / "chat_template.json")
    entry = settings.get("chat_template") or legacy.get("chat_template")
    source: Any = file.read_text() if file.is_file() else entry
    if isinstance(source, list):
        named = {entry["name"]: entry["template"] for entry in source}
        for_tools = named.get("tool_use")
        source = named.get("default") or for_tools
    return ChatTemplate(source, _token_names(settings), for_tools) if source else None


def _token_names(settings: Mapping[str, Any]) -> dict[str, str]:
    names = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token")
    return {name: text for name in names if (text := _content(settings.get(name))) is not None}


def _content(token: Any) -> str | None:
    """A special token is written as its text or as an object that holds its text."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _stop_ids(
    tokenizer: Any,
    config: Mapping[str, Any],
    settings: Mapping[str, Any],
    generation: Mapping[str, Any],
) -> tuple[int, ...]:
    """Every end that any of the three files names: they often disagree, and each is meant."""
    ids: set[int] = set()
    for source in (config, config.get("text_config") or {}, generation):
        value = source.get("eos_token_id")
        ids.update(value if isinstance(value, list) else [] if value is None else [value])
    if (text := _content(settings.get("eos_token"))) is not None:
        ids.add(tokenizer.token_to_id(text))
    return tuple(sorted(i for i in ids if isinstance(i, int)))


def _defaults(generation: Mapping[str, Any]) -> Defaults:
    """`do_sample` false means greedy, whatever the other fields say; so does silence."""
    plain = Defaults(repetition=float(generation.get("repetition_penalty") or 1.0))
    sampled = generation.get("do_sample", generation.get("temperature") is not None)
    if not sampled:
        return plain
    return Defaults(
        temperature=_number(generation, "temperature", 1.0),
        top_p=_number(generation, "top_p", 1.0),
        top_k=int(_number(generation, "top_k", 0)),
        min_p=_number(generation, "min_p", 0.0),
        repetition=plain.repetition,
    )


def _number(fields: Mapping[str, Any], name: str, default: float) -> float:
    value = fields.get(name)
    return default if value is None else float(value)


def _context(config: Mapping[str, Any], nested: Mapping[str, Any]) -> int | None:
    for source in (nested, config):
        for name in _LENGTH_FIELDS:
            if isinstance(value := source.get(name), int):
                return value
    return None
