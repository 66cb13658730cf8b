"""Invents what the tools would answer, in their words; remembers one conversation's files."""

from training.tiny_agent.source import Source
from training.tiny_agent.tools import Call
from training.tiny_agent.values import altered, code_line, content, lines, sentence, short

_TROUBLES = (
    "permission denied",
    "not a regular file",
    "is a folder",
    "no space left on device",
    "name too long",
)


class Workspace:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.files: dict[str, str] = {}

    def run(self, call: Call) -> str:
        path = str(call.arguments.get("path", ""))
        if path.startswith(("../", "/", "~")) and self.source.chance(0.8):
            return f"Error: path is outside the worktree: {path}"
        if self.source.chance(0.03):
            return self._trouble(call, path)
        answer = {
            "Read": self._read,
            "Write": self._write,
            "Edit": self._edit,
            "Bash": self._bash,
            "Grep": self._grep,
            "Find": self._find,
            "Ls": self._ls,
        }[call.name]
        return answer(call)

    def resemble(self, path: str, text: str) -> None:
        """Often a file already holds lines much like the one to be added."""
        if path not in self.files and self.source.chance(0.25):
            first = text.split("\n")[0]
            known = [altered(self.source, first) for _ in range(self.source.between(1, 4))]
            self.files[path] = "\n".join(known) + self.source.pick(("", "\n"))

    def _trouble(self, call: Call, path: str) -> str:
        source = self.source
        if call.name in ("Find", "Ls"):
            return f"Error: no such folder: {path or '.'}"
        if call.name == "Grep":
            problem = source.pick(
                (
                    f"no such file or folder: {path}",
                    "pattern is not a regular expression: missing )",
                )
            )
            return f"Error: {problem}"
        if call.name == "Bash":
            return f"Error: command timed out after {call.arguments.get('timeout', 120)} s"
        problems = (
            f"no such file: {path}",
            f"{path}: {source.pick(_TROUBLES)}",
            f"{path} is a binary file",
            sentence(source),
        )
        return f"Error: {source.pick(problems)}"

    def _read(self, call: Call) -> str:
        path = str(call.arguments["path"])
        if path not in self.files and self.source.chance(0.09):
            return f"Error: no such file: {path}"
        part = "offset" in call.arguments or "limit" in call.arguments
        if part:
            return self._part(
                path, int(call.arguments.get("offset", 1)), int(call.arguments.get("limit", 3))
            )
        if path not in self.files:
            self.files[path] = self._invented()
        text = self.files[path]
        if self.source.expansive and self.source.chance(0.15):
            last = text.count("\n") + 1
            total = last + self.source.between(1, 5000)
            return f"{text}\n[lines 1-{last} of {total}; Read with offset={last + 1} for more]"
        return text or "(empty file)"

    def _part(self, path: str, offset: int, limit: int) -> str:
        source = self.source
        known = (
            self.files[path].splitlines()[offset - 1 : offset - 1 + limit]
            if path in self.files
            else None
        )
        if known is None:
            known = [self._invented_line() for _ in range(min(limit, source.between(1, 12)))]
        if not known or source.chance(0.04):
            count = max(0, offset - source.between(1, 9))
            return f"Error: {path} has {count} lines; offset {offset} is behind its end"
        text, last = "\n".join(known), offset + len(known) - 1
        if source.chance(0.15):
            total = last + source.between(1, source.pick((9, 99, 5000)))
            return (
                f"{text}\n[lines {offset}-{last} of {total}; Read with offset={last + 1} for more]"
            )
        return text + source.pick(("", "\n", "\n"))

    def _invented(self) -> str:
        source = self.source
        if source.chance(0.05):
            return ""
        text = content(source)
        return text.strip("\n") + source.pick(("", "\n"))

    def _invented_line(self) -> str:
        source = self.source
        if source.chance(0.05):
            return ""
        return source.pick(("", "", "    ", "  ", "- ")) + source.pick(
            (code_line, sentence, short)
        )(source)

    def _write(self, call: Call) -> str:
        path, text = str(call.arguments["path"]), str(call.arguments["content"])
        replaced = path in self.files or self.source.chance(0.1)
        self.files[path] = text
        count, size = len(text.splitlines()), len(text.encode())
        spoken = f"{count} line{'' if count == 1 else 's'}, {size} byte{'' if size == 1 else 's'}"
        return f"{'Replaced' if replaced else 'Created'} {path} ({spoken})"

    def _edit(self, call: Call) -> str:
        source = self.source
        path, old = str(call.arguments["path"]), str(call.arguments["old_string"])
        everywhere = call.arguments.get("replace_all", False)
        count = (
            self.files[path].count(old)
            if path in self.files
            else source.pick((0, 1, 1, 1, 1, 1, 1, 1, 2, 3))
        )
        if path not in self.files and source.chance(0.08):
            return f"Error: no such file: {path}"
        if not count:
            return f"Error: old_string was not found in {path}"
        if count > 1 and not everywhere:
            return (
                f"Error: old_string occurs {count} times in {path}; add context or set replace_all"
            )
        if path in self.files:
            self.files[path] = self.files[path].replace(old, str(call.arguments["new_string"]))
        elif everywhere:
            count = source.between(1, 30)
        return f"Edited {path} ({count} replacement{'' if count == 1 else 's'})"

    def _bash(self, call: Call) -> str:
        source, line = self.source, str(call.arguments["command"])
        first, *rest = line.split()
        if source.chance(0.12):
            return self._failed(first)
        if first in ("mv", "rm", "cp", "mkdir", "touch", "chmod", "cd"):
            return "(no output)"
        if first == "wc" and rest:
            return f"{source.between(0, 999)} {rest[-1]}\n"
        if rest and rest[-1] in self.files:
            return self._printed(self.files[rest[-1]])
        output = source.pick(
            (short, sentence, lines, lambda s: "", Source.number, Source.file_name, lines)
        )(source)
        return output + source.pick(("", "\n", "\n", "\n")) if output else "(no output)"

    def _printed(self, program: str) -> str:
        for opening in ('print("', 'console.log("', 'echo "'):
            if program.startswith(opening):
                return program.removeprefix(opening).split('"')[0] + "\n"
        return program or "(no output)"

    def _failed(self, program: str) -> str:
        source = self.source
        code = source.pick((1, 1, 1, 2, 127, source.between(1, 255)))
        said = source.pick(
            (f"{program}: command not found", "(no output)", "", sentence(source), lines(source))
        )
        return f"{said}\n[exit code {code}]" if said else f"[exit code {code}]"

    def _grep(self, call: Call) -> str:
        source, pattern = self.source, str(call.arguments["pattern"])
        if source.chance(0.2):
            return "No matches."
        name = Source.file_name
        count = (
            source.between(20, 60)
            if source.expansive and source.chance(0.5)
            else source.pick((1, 1, 2, 3, 6))
        )
        return "\n".join(
            f"{name(source)}:{source.between(1, 300)}:"
            f"{source.pick(('', '    '))}{source.word()} {pattern}"
            f"{source.pick(('', ' ' + source.word()))}"
            for _ in range(count)
        ) + source.pick(("", "\n"))

    def _find(self, call: Call) -> str:
        return "No files match." if self.source.chance(0.2) else "\n".join(self._names())

    def _ls(self, call: Call) -> str:
        source = self.source
        if source.chance(0.07):
            return "(empty)"
        return "\n".join(name + source.pick(("", "", "", "/")) for name in self._names())

    def _names(self) -> list[str]:
        source = self.source
        count = (
            source.between(20, 90)
            if source.expansive and source.chance(0.5)
            else source.pick((1, 2, 3, 4, 5, 5, 6, 6, 7, 9, 12))
        )
        return list(
            dict.fromkeys([*list(self.files)[:2], *(source.file_name() for _ in range(count))])
        )[:count]
