"""Log-probabilities as OpenAI's three formats and Gemini write them, both directions."""

from collections.abc import Iterable, Sequence
from typing import Any

from mlxk.chat.types import TokenLogprob

_BYTES = "bytes:"


def encode(measured: Iterable[TokenLogprob]) -> list[dict[str, Any]]:
    """Tokens as chat completions and Responses list them, each with the likeliest in its place."""
    return [
        _entry(one.token, one.logprob) | {"top_logprobs": [_entry(*each) for each in one.top]}
        for one in measured
    ]


def decode(entries: Any) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            _token(entry),
            entry["logprob"],
            tuple((_token(each), each["logprob"]) for each in entry.get("top_logprobs") or ()),
        )
        for entry in entries or ()
    )


def encode_columns(measured: Sequence[TokenLogprob], before: bytes = b"") -> dict[str, Any]:
    """As completions list them: a list a property. `before` is what was written already."""
    offsets, written = [], before
    for one in measured:
        offsets.append(len(written.decode("utf-8", "ignore")))
        written += one.token
    return {
        "tokens": [_name(one.token) for one in measured],
        "token_logprobs": [one.logprob for one in measured],
        "top_logprobs": [{_name(token): p for token, p in one.top} for one in measured],
        "text_offset": offsets,
    }


def decode_columns(columns: Any) -> tuple[TokenLogprob, ...]:
    if not columns:
        return ()
    tops = columns.get("top_logprobs") or [{}] * len(columns["tokens"])
    rows = zip(columns["tokens"], columns["token_logprobs"], tops, strict=True)
    return tuple(
        TokenLogprob(
            _named(token), own or 0.0, tuple((_named(t), p) for t, p in (top or {}).items())
        )
        for token, own, top in rows
    )


def encode_candidates(measured: Sequence[TokenLogprob]) -> dict[str, Any]:
    """As Gemini lists them: what was chosen, and beside it what might have been."""
    return {
        "chosenCandidates": [_candidate(one.token, one.logprob) for one in measured],
        "topCandidates": [
            {"candidates": [_candidate(*each) for each in one.top]} for one in measured
        ],
    }


def decode_candidates(result: Any) -> tuple[TokenLogprob, ...]:
    chosen = (result or {}).get("chosenCandidates") or ()
    tops = (result or {}).get("topCandidates") or [{}] * len(chosen)
    return tuple(
        TokenLogprob(
            _named(one.get("token") or ""),
            one.get("logProbability") or 0.0,
            tuple(
                (_named(each.get("token") or ""), each.get("logProbability") or 0.0)
                for each in top.get("candidates") or ()
            ),
        )
        for one, top in zip(chosen, tops, strict=True)
    )


def _entry(token: bytes, logprob: float) -> dict[str, Any]:
    return {"token": token.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(token)}


def _token(entry: dict[str, Any]) -> bytes:
    written = entry.get("bytes")
    return bytes(written) if written is not None else str(entry["token"]).encode()


def _candidate(token: bytes, logprob: float) -> dict[str, Any]:
    return {"token": _name(token), "logProbability": logprob}


def _name(token: bytes) -> str:
    """Where a format has no place for bytes, a broken character is told as `bytes:\\xe2\\x96`."""
    try:
        return token.decode()
    except UnicodeDecodeError:
        return _BYTES + "".join(f"\\x{byte:02x}" for byte in token)


def _named(name: str) -> bytes:
    if not name.startswith(f"{_BYTES}\\x"):
        return name.encode()
    return bytes.fromhex(name.removeprefix(_BYTES).replace("\\x", ""))
