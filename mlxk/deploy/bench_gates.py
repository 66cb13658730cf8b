"""What somebody wants of a speed, and whether it was reached. Pure."""

from dataclasses import dataclass
from typing import Literal

from mlxk.deploy.bench_figures import Level


@dataclass(frozen=True, slots=True)
class Verdict:
    """What could not be measured is not reached."""

    name: Literal["gen_tps", "prompt_tps", "ttft_s"]
    wanted: str
    measured: float | None
    passed: bool


@dataclass(frozen=True, slots=True)
class Gates:
    min_gen_tps: float | None = None
    min_prompt_tps: float | None = None
    max_ttft_s: float | None = None

    def verdicts(self, found: Level | None) -> tuple[Verdict, ...]:
        gen = found.gen_tps.mean if found and found.gen_tps else None
        prompt = found.prompt_tps.mean if found and found.prompt_tps else None
        ttft = found.ttft_s.p50 if found and found.ttft_s else None
        rows: list[Verdict] = []
        if (least := self.min_gen_tps) is not None:
            passed = gen is not None and gen >= least
            rows.append(Verdict("gen_tps", f"at least {least:g}", gen, passed))
        if (least := self.min_prompt_tps) is not None:
            passed = prompt is not None and prompt >= least
            rows.append(Verdict("prompt_tps", f"at least {least:g}", prompt, passed))
        if (most := self.max_ttft_s) is not None:
            passed = ttft is not None and ttft <= most
            rows.append(Verdict("ttft_s", f"at most {most:g}", ttft, passed))
        return tuple(rows)
