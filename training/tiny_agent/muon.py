"""Muon: momentum, then each matrix's update is made orthogonal, all of one shape at once."""

from collections.abc import Iterable

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    def __init__(
        self, matrices: Iterable[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.01
    ) -> None:
        super().__init__(list(matrices), {"lr": lr, "momentum": momentum, "decay": decay})
        self._by_shape: dict[tuple[int, ...], list[Tensor]] = {}
        for matrix in self.param_groups[0]["params"]:
            self._by_shape.setdefault(tuple(sorted(matrix.shape)), []).append(matrix)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        group = self.param_groups[0]
        for matrices in self._by_shape.values():
            updates = [_wide(self._moved(m, group["momentum"])) for m in matrices]
            for matrix, update in zip(matrices, orthogonal(torch.stack(updates)), strict=True):
                update = update if update.shape == matrix.shape else update.T
                matrix.mul_(1 - group["lr"] * group["decay"])
                scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
                matrix.add_(update.to(matrix.dtype), alpha=-group["lr"] * scale)

    def _moved(self, matrix: Tensor, momentum: float) -> Tensor:
        state = self.state[matrix]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(matrix)
        state["velocity"].lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(state["velocity"], momentum)


def _wide(matrix: Tensor) -> Tensor:
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T


def orthogonal(batch: Tensor, rounds: int = 5) -> Tensor:
    """Newton-Schulz: drives all singular values towards one without computing them."""
    a, b, c = _COEFFICIENTS
    x = batch.bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x
