"""How fast an answer was made."""

_TOGETHER_S = 0.001


def speed(tokens: int, seconds: float) -> float | None:
    """Tokens a second; None of what came together, because nobody looked before."""
    return tokens / seconds if tokens > 0 and seconds > _TOGETHER_S else None
