"""A rank that fails while it reads some prompts: one of them at every rank, one at rank 1 alone."""

import os
import sys

from tiny_models import tokenizer

from mlxk.engine import batch, rank, team
from mlxk.engine.group import Forward

ALL, ONE = "%", "&"


class Faulty:
    def __init__(self, model):
        letters = ALL if os.environ["MLX_RANK"] == "0" else ALL + ONE
        self.model = model
        self.deadly = {tokenizer().token_to_id(letter) for letter in letters}

    def __call__(self, inputs, cache):
        if inputs.shape[1] > 1 and self.deadly & {int(token) for token in inputs.flatten()}:
            raise RuntimeError("unlucky")
        return self.model(inputs, cache=cache)


if __name__ == "__main__":
    team.PATIENCE_S = rank.PATIENCE_S = 1.0
    batch.Forward = lambda model, *rest: Forward(Faulty(model), *rest)
    rank.main(sys.argv[1:])
