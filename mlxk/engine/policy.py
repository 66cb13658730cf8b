"""How the next token of one request is chosen: validated numbers. Knows no device."""

from dataclasses import dataclass
from math import isfinite
from typing import TypeVar

from mlxk.chat.types import Sampling
from mlxk.contract.errors import InvalidValue

T = TypeVar("T")

_MASK = (1 << 64) - 1
# Dividing by less than this would leave the range of the device's numbers.
_COLD = 1e-5


@dataclass(frozen=True, slots=True)
class Policy:
    """`temperature` 0 is greedy; every other default does nothing."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int = 0
    repetition: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0
    bias: tuple[tuple[int, float], ...] = ()

    @property
    def is_greedy(self) -> bool:
        is_narrow = self.top_k == 1 or self.top_p == 0 or self.min_p == 1
        return is_narrow or self.temperature < _COLD

    @property
    def is_penalised(self) -> bool:
        return self.repetition != 1 or self.presence != 0 or self.frequency != 0


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the model's own generation_config.json says; greedy where it says nothing."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition: float = 1.0


def policy(wish: Sampling, defaults: Defaults, *, vocabulary: int, seed: int) -> Policy:
    """Fill the gaps of a request's sampling and refuse what the device could not do."""
    for name, low, high in _RANGES:
        _check_range(name, getattr(wish, name), low, high)
    for token, weight in wish.logit_bias:
        _check_bias(token, weight, vocabulary)
    return Policy(
        temperature=_or(wish.temperature, defaults.temperature),
        top_p=_or(wish.top_p, defaults.top_p),
        top_k=min(_or(wish.top_k, defaults.top_k), vocabulary),
        min_p=_or(wish.min_p, defaults.min_p),
        seed=(seed if wish.seed is None else wish.seed) & _MASK,
        repetition=_or(wish.repetition_penalty, defaults.repetition),
        presence=wish.presence_penalty or 0.0,
        frequency=wish.frequency_penalty or 0.0,
        bias=wish.logit_bias,
    )


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("temperature", 0.0, 100.0),
    ("top_p", 0.0, 1.0),
    ("top_k", 0, 1 << 31),
    ("min_p", 0.0, 1.0),
    ("repetition_penalty", 0.01, 100.0),
    ("presence_penalty", -100.0, 100.0),
    ("frequency_penalty", -100.0, 100.0),
)


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not (isfinite(value) and low <= value <= high):
        raise InvalidValue(f"{name} must be between {low:g} and {high:g}, not {value}", field=name)


def _check_bias(token: int, weight: float, vocabulary: int) -> None:
    if not 0 <= token < vocabulary:
        message = f"logit_bias names token {token}, the model has {vocabulary}"
        raise InvalidValue(message, field="logit_bias")
    _check_range("logit_bias", weight, -1000.0, 1000.0)


def _or(value: T | None, default: T) -> T:
    return default if value is None else value
