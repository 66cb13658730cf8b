"""The network: Qwen3's layout at a thousandth of its size, so that mlx-lm loads it as it is."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    width: int
    layers: int
    heads: int
    head_width: int
    hidden: int


SHAPES = {
    "tiny": Shape(64, 2, 2, 32, 128),  # for tests of the training loop
    "xs": Shape(128, 4, 4, 32, 320),
    "s": Shape(192, 4, 6, 32, 512),
    "m": Shape(256, 5, 8, 32, 640),
}
THETA = 10000.0
EPSILON = 1e-6


class Norm(nn.Module):
    def __init__(self, width: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), gain))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), EPSILON)


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        inner = shape.heads * shape.head_width
        self.shape = shape
        self.q_proj = nn.Linear(shape.width, inner, bias=False)
        self.k_proj = nn.Linear(shape.width, inner, bias=False)
        self.v_proj = nn.Linear(shape.width, inner, bias=False)
        self.o_proj = nn.Linear(inner, shape.width, bias=False)
        # a gain above one makes attention sharp from the start, which copying needs
        self.q_norm, self.k_norm = Norm(shape.head_width, 1.7), Norm(shape.head_width, 1.7)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, _ = x.shape
        split = (batch, length, self.shape.heads, self.shape.head_width)
        query = rotate(self.q_norm(self.q_proj(x).view(split)).transpose(1, 2), cos, sin)
        key = rotate(self.k_norm(self.k_proj(x).view(split)).transpose(1, 2), cos, sin)
        value = self.v_proj(x).view(split).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(
            query.to(value.dtype), key.to(value.dtype), value, is_causal=True
        )
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(shape), FeedForward(shape)
        self.input_layernorm, self.post_attention_layernorm = Norm(shape.width), Norm(shape.width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class LanguageModel(nn.Module):
    def __init__(self, vocabulary: int, shape: Shape) -> None:
        super().__init__()
        self.vocabulary, self.shape = vocabulary, shape
        self.embed_tokens = nn.Embedding(vocabulary, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width)
        self._start()

    def _start(self) -> None:
        nn.init.normal_(self.embed_tokens.weight, std=0.02)
        for name, matrix in self.layers.named_parameters():
            if matrix.ndim == 2:
                quiet = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(matrix, std=(0.1 if quiet else 0.6) * matrix.shape[1] ** -0.5)

    def forward(self, ids: Tensor) -> Tensor:
        """Hidden states; the embedding is also the output matrix."""
        x = self.embed_tokens(ids)
        if torch.is_autocast_enabled(ids.device.type):
            x = x.to(torch.get_autocast_dtype(ids.device.type))
        cos, sin = self._angles(ids)
        cos, sin = cos.to(x.dtype), sin.to(x.dtype)
        for block in self.layers:
            x = block(x, cos, sin)
        return self.norm(x)

    def _angles(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        half = torch.arange(0, self.shape.head_width, 2, device=ids.device).float()
        places = torch.arange(ids.shape[1], device=ids.device).float()
        angles = places[:, None] * THETA ** (-half / self.shape.head_width)
        return angles.cos(), angles.sin()

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden @ self.embed_tokens.weight.to(hidden.dtype).T

    def loss(self, ids: Tensor, places: Tensor) -> Tensor:
        """`places` index the learned tokens in ids[:, 1:], found on the CPU beforehand."""
        hidden = self(ids[:, :-1]).flatten(0, 1)[places]
        return F.cross_entropy(self.logits(hidden).float(), ids[:, 1:].flatten()[places])
