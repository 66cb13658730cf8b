"""Measures a model folder through mlx-lm and prints one JSON document.

python -m training.tiny_agent.evaluate FOLDER --natural FILE --generated 10
"""

import argparse
import json
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm import load, stream_generate

from training.tiny_agent import sentences
from training.tiny_agent.conversations import LABELS, converse
from training.tiny_agent.source import Source
from training.tiny_agent.tools import AGENT_PROMPT, TOOLS, Call, Tool
from training.tiny_agent.workspace import Workspace

_MOST_TOKENS = 1500
_SHOWN_MISSES = 40
_FIXED = {
    "hello": sentences.HELLO,
    "about": sentences.ABOUT,
    "thanks": sentences.THANKS,
    "bye": sentences.BYE,
    "refusal": sentences.REFUSAL,
    "no tools": sentences.NO_TOOLS,
    **{f"ask {kind}": question for kind, question in sentences.QUESTIONS.items()},
}
Answer = Call | str


@dataclass(slots=True)
class Speed:
    turns: int = 0
    prompt_tokens: int = 0
    prompt_s: float = 0.0
    tokens: int = 0
    tokens_s: float = 0.0

    def summary(self) -> dict[str, float]:
        return {
            "turns": self.turns,
            "mean_prompt_tokens": round(self.prompt_tokens / max(1, self.turns), 1),
            "prompt_tokens_per_s": round(self.prompt_tokens / max(1e-9, self.prompt_s), 1),
            "tokens_per_s": round(self.tokens / max(1e-9, self.tokens_s), 1),
            "peak_memory_mb": round(mx.get_peak_memory() / 1e6, 1),
        }


@dataclass(slots=True)
class Score:
    count: int = 0
    first: int = 0
    whole: int = 0

    def add(self, turns: Sequence[bool], expected: int) -> None:
        self.count += 1
        self.first += bool(turns) and turns[0]
        self.whole += len(turns) == expected and all(turns)

    def summary(self) -> dict[str, float]:
        shares = {
            "first": self.first / max(1, self.count),
            "whole": self.whole / max(1, self.count),
        }
        return {"count": self.count, **{k: round(v, 4) for k, v in shares.items()}}


@dataclass(slots=True)
class Speaker:
    """Greedy answers of one model folder; a tool call comes back through mlx-lm's own parser."""

    folder: Path
    speed: Speed = field(default_factory=Speed)
    model: Any = None
    tokenizer: Any = None

    def __post_init__(self) -> None:
        self.model, self.tokenizer = load(str(self.folder))

    def answer(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool]) -> Answer:
        schemas = [tool.schema() for tool in tools] or None
        prompt = self.tokenizer.apply_chat_template(
            list(messages), tools=schemas, add_generation_prompt=True
        )
        text = self._generated(prompt)
        if self.tokenizer.tool_call_start not in text:
            return text
        body = text.split(self.tokenizer.tool_call_start, 1)[1].split(
            self.tokenizer.tool_call_end, 1
        )[0]
        try:
            parsed = self.tokenizer.tool_parser(body, schemas)
        except ValueError:
            return text
        return Call(parsed["name"], parsed["arguments"])

    def _generated(self, prompt: list[int]) -> str:
        parts = list(stream_generate(self.model, self.tokenizer, prompt, max_tokens=_MOST_TOKENS))
        last, speed = parts[-1], self.speed
        speed.turns += 1
        speed.prompt_tokens += last.prompt_tokens
        speed.prompt_s += last.prompt_tokens / last.prompt_tps
        speed.tokens += last.generation_tokens
        speed.tokens_s += last.generation_tokens / max(1e-9, last.generation_tps)
        return "".join(part.text for part in parts)


@dataclass(slots=True)
class Report:
    scores: dict[str, Score] = field(default_factory=dict)
    misses: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, label: str, request: str, wanted: Sequence[Answer], got: Sequence[Answer]
    ) -> None:
        turns = [w == g for w, g in zip(wanted, got, strict=False)]
        for name in (label, "all"):
            self.scores.setdefault(name, Score()).add(turns, len(wanted))
        if not all(turns):
            at = turns.index(False)
            miss = {
                "label": label,
                "request": request,
                "wanted": _plain(wanted[at]),
                "got": _plain(got[at]),
            }
            self.misses.append(miss)

    def summary(self) -> dict[str, Any]:
        scores = {name: score.summary() for name, score in self.scores.items()}
        return {"scores": scores, "misses": self.misses[:_SHOWN_MISSES]}


def _plain(answer: Answer) -> str | list[Any]:
    return answer if isinstance(answer, str) else [answer.name, answer.arguments]


def natural(speaker: Speaker, file: Path) -> dict[str, Any]:
    """Hand-written requests: every call is compared, an answer where the line gives one."""
    report = Report()
    for line in file.read_text().splitlines():
        item = json.loads(line)
        wanted: list[Answer] = [Call(name, arguments) for name, arguments in item.get("calls", ())]
        if says := item.get("says"):
            wanted.append(_FIXED.get(says, says))
        tools = () if item.get("says") == "no tools" or item.get("tools") == [] else TOOLS
        messages = [{"role": "system", "content": AGENT_PROMPT}] if tools else []
        got = _dialogue(speaker, messages, item, wanted, tools)
        report.add(item["kind"], item["request"], wanted, got)
    return report.summary()


def _dialogue(
    speaker: Speaker,
    messages: list[dict[str, Any]],
    item: dict[str, Any],
    wanted: list[Answer],
    tools: Sequence[Tool],
) -> list[Answer]:
    workspace = Workspace(Source(0))
    results = iter(item.get("results", ()))
    for request, answer in item.get("before", ()):
        messages += [{"role": "user", "content": request}, {"role": "assistant", "content": answer}]
    messages.append({"role": "user", "content": item["request"]})
    got: list[Answer] = []
    for answer in wanted:
        got.append(speaker.answer(messages, tools))
        if got[-1] != answer or isinstance(answer, str):
            break
        messages += _called(answer, next(results, None) or workspace.run(answer))
    return got


def _called(call: Call, result: str) -> list[dict[str, Any]]:
    function = {"name": call.name, "arguments": call.arguments}
    calls = [{"type": "function", "id": "1", "function": function}]
    return [
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "1", "content": result},
    ]


def generated(speaker: Speaker, count: int, seed: int) -> dict[str, Any]:
    """Conversations of the grammar with held-out words, given the right history."""
    report, source = Report(), Source(seed, held_out=True)
    for label in LABELS:
        for _ in range(count):
            conversation = converse(source, label)
            wanted, got = _replayed(speaker, conversation.messages, conversation.tools)
            report.add(label, _last_request(conversation.messages), wanted, got)
    return report.summary()


def _last_request(messages: Iterable[Mapping[str, Any]]) -> str:
    return [m["content"] for m in messages if m["role"] == "user"][-1]


def _replayed(
    speaker: Speaker, messages: Sequence[dict[str, Any]], tools: Sequence[Tool]
) -> tuple[list[Answer], list[Answer]]:
    wanted: list[Answer] = []
    got: list[Answer] = []
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            calls = message.get("tool_calls")
            wanted.append(Call(**calls[0]["function"]) if calls else message["content"])
            got.append(speaker.answer(messages[:i], tools))
    return wanted, got


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--natural", type=Path, action="append", default=[])
    parser.add_argument("--generated", type=int, default=0, help="conversations of each kind")
    parser.add_argument("--seed", type=int, default=4242)
    options = parser.parse_args()
    began = time.perf_counter()
    speaker = Speaker(options.folder)
    document: dict[str, Any] = {
        "machine": f"{platform.system()} {platform.machine()}, {mx.default_device()}",
        "load_s": round(time.perf_counter() - began, 3),
        "folder_mb": round(sum(f.stat().st_size for f in options.folder.iterdir()) / 1e6, 2),
    }
    for file in options.natural:
        document[file.stem] = natural(speaker, file)
    if options.generated:
        document["generated"] = generated(speaker, options.generated, options.seed)
    document["speed"] = speaker.speed.summary()
    print(json.dumps(document, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
