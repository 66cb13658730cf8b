"""Trains the demo model for a given time and writes the folder and its report.

python -m training.tiny_agent.train --shape xs --minutes 9 --seed 1 --out OUT
"""

import argparse
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from tokenizers import Tokenizer

from training.tiny_agent.batches import Feed, Plan
from training.tiny_agent.export import export, load_weights, write_json
from training.tiny_agent.model import SHAPES, LanguageModel
from training.tiny_agent.muon import Muon
from training.tiny_agent.score import held_out, score, table, total
from training.tiny_agent.tokenizer import train_tokenizer

_ADAM_RATE = 0.003
_WARM_UP = 50
_STEADY = 0.4  # share of the time before the learning rate falls


@dataclass(slots=True)
class Progress:
    began: float = field(default_factory=time.time)
    steps: int = 0
    tokens: int = 0
    waited: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    def minutes(self) -> float:
        return (time.time() - self.began) / 60


class Trainer:
    def __init__(self, options: argparse.Namespace, tokenizer: Tokenizer, out: Path) -> None:
        self.options, self.tokenizer, self.out = options, tokenizer, out
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        vocabulary = -(-tokenizer.get_vocab_size() // 64) * 64
        self.model = LanguageModel(vocabulary, SHAPES[options.shape])
        if options.start:
            load_weights(self.model, Path(options.start))
        self.model.to(self.device)
        named = list(self.model.named_parameters())
        matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
        self.others = [p for name, p in named if p.ndim != 2 or "embed" in name]
        adam = torch.optim.AdamW(self.others, lr=_ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0)
        self.optimizers = (Muon(matrices, lr=options.rate), adam)
        self.rates = (options.rate, _ADAM_RATE * options.rate / 0.02)
        self.progress = Progress()

    def train(self) -> None:
        options = self.options
        plan = Plan(options.tokens, options.longest, 32 if self.device == "cuda" else 8)
        tokenizer_file = str(self.out / "tokenizer.json")
        feed = Feed(
            tokenizer_file, options.seed, plan, workers=options.workers, easy=options.easy > 0
        )
        checks = held_out(options.checks)
        batch = feed.next()  # the workers are up before the clock starts
        self.progress = Progress()
        reported = checked = 0.0
        while (done := self.progress.minutes() / options.minutes) < 1:
            if done >= options.easy:
                feed.harder()
            loss = self._step(*batch, self._pace(done))
            before = time.time()
            batch = feed.next()
            self.progress.waited += time.time() - before
            if self.progress.minutes() - reported > options.every / 8:
                reported = self.progress.minutes()
                self._say(loss)
            if self.progress.minutes() - checked > options.every:
                checked = self.progress.minutes()
                self._check(checks)
        feed.close()

    def _pace(self, done: float) -> float:
        warm = min(1.0, (self.progress.steps + 1) / _WARM_UP)
        return warm * (1.0 if done < _STEADY else max(0.01, (1 - done) / (1 - _STEADY)))

    def _step(self, ids: "torch.Tensor", places: "torch.Tensor", pace: float) -> torch.Tensor:
        ids, places = torch.from_numpy(ids), torch.from_numpy(places)
        if self.device == "cuda":
            ids, places = (t.pin_memory().to("cuda", non_blocking=True) for t in (ids, places))
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * pace
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device == "cuda"):
            loss = self.model.loss(ids.long(), places)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.others, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.progress.steps += 1
        self.progress.tokens += ids.numel()
        return loss.detach()

    def _say(self, loss: torch.Tensor) -> None:
        p = self.progress
        speed, waited = p.tokens / p.minutes() / 60, p.waited / p.minutes() / 60
        line = f"{p.minutes():5.2f} min step {p.steps} loss {loss.item():.4f}"
        print(
            f"{line} {p.tokens / 1e6:.1f} M tokens {speed:,.0f}/s waited {waited:.0%}", flush=True
        )

    def _check(self, checks: list) -> None:
        result = total(score(self.model, self.tokenizer, checks, self.device)[0])
        first, whole = result.first / result.count, result.whole / result.count
        entry = {
            "minutes": self.progress.minutes(),
            "steps": self.progress.steps,
            "first": first,
            "whole": whole,
        }
        self.progress.history.append(entry)
        print(f"  held out: first {first:.2%} whole {whole:.2%}", flush=True)

    def finish(self) -> None:
        options, p = self.options, self.progress
        export(self.model, self.tokenizer, self.out, options.longest)
        tallies, misses = score(
            self.model, self.tokenizer, held_out(options.final_checks), self.device
        )
        for miss in misses[:60]:
            print(f"  MISS {miss.label}\n    wanted {miss.wanted!r}\n    got    {miss.got!r}")
        print(table(tallies), flush=True)
        report = {
            "shape": options.shape,
            "parameters": sum(q.numel() for q in self.model.parameters()),
            "seed": options.seed,
            "options": {k: v for k, v in vars(options).items() if k not in ("out", "start")},
            "continued": bool(options.start),
            "device": torch.cuda.get_device_name() if self.device == "cuda" else "cpu",
            "steps": p.steps,
            "tokens": p.tokens,
            "waited_for_data": p.waited / p.minutes() / 60,
            "history": p.history,
            "held_out": {name: asdict(tally) for name, tally in tallies.items()},
        }
        write_json(self.out / "report.json", report)


def main() -> None:
    options = _options()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    tokenizer = _tokenizer(options)
    tokenizer.save(str(out / "tokenizer.json"))
    trainer = Trainer(options, tokenizer, out)
    trainer.train()
    trainer.finish()


def _tokenizer(options: argparse.Namespace) -> Tokenizer:
    given = options.tokenizer or (options.start and f"{options.start}/tokenizer.json")
    return Tokenizer.from_file(given) if given else train_tokenizer(options.vocabulary)


def _options() -> argparse.Namespace:
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="xs", choices=SHAPES)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--vocabulary", type=int, default=1536)
    parser.add_argument("--tokens", type=int, default=32768 if gpu else 8192, help="tokens a step")
    parser.add_argument(
        "--longest", type=int, default=4096, help="tokens of the longest conversation"
    )
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument(
        "--easy", type=float, default=0.06, help="share of the time on short first turns"
    )
    parser.add_argument(
        "--workers", type=int, default=max(2, (os.cpu_count() or 4) - 2) if gpu else 0
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", default="", help="go on from this folder")
    parser.add_argument(
        "--tokenizer", default="", help="a tokenizer.json to use instead of training one"
    )
    parser.add_argument("--every", type=float, default=2.0, help="minutes between checks")
    parser.add_argument(
        "--checks", type=int, default=25, help="conversations of each kind in a check"
    )
    parser.add_argument("--final-checks", type=int, default=250)
    parser.add_argument("--out", default="out")
    return parser.parse_args()


if __name__ == "__main__":
    main()
