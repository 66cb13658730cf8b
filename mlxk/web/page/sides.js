// Changes side by side, from rows that the server made. Marks what differs inside a line.

import { h, plural } from "./dom.js";

export function fileSides(file, open = true) {
  return h(
    "details.file",
    { open },
    h(
      "summary",
      {},
      h("span.path", {}, file.path),
      h("span.chip", {}, file.status.replace("_", " ")),
      h("span.plus", {}, `+${file.additions}`),
      h("span.minus", {}, `−${file.deletions}`),
    ),
    file.binary ? h("p.remark", {}, "A binary file.") : null,
    file.hunks.length ? table(file.hunks, { added: 3, deleted: 1 }[file.status]) : null,
    file.cut ? h("p.remark", {}, "Too long to show whole; the rest is in git.") : null,
    !file.binary && !file.cut && !file.hunks.length
      ? h("p.remark", {}, "Only its mode changed, or it is empty.")
      : null,
  );
}

/** `only`: where the one side of a new or deleted file is in its rows. */
function table(hunks, only) {
  if (only) {
    const kind = only === 3 ? "td.add" : "td.del";
    const lines = hunks
      .flat()
      .map((each) => h("tr", {}, h("td.n", {}, each[only]), h(kind, {}, each[only + 1])));
    return h(
      "table.sides.one",
      { dir: "ltr" },
      h("colgroup", {}, h("col.n"), h("col")),
      h("tbody", {}, lines),
    );
  }
  const rows = hunks.flatMap((hunk, index) => [index ? gap(hunks[index - 1], hunk) : null, ...hunk.map(row)]);
  const columns = ["n", "", "n", ""].map((name) => h(name ? `col.${name}` : "col"));
  return h("table.sides", { dir: "ltr" }, h("colgroup", {}, columns), h("tbody", {}, rows));
}

function gap(before, after) {
  const left = (after[0][1] ?? after[0][3]) - (before.at(-1)[1] ?? before.at(-1)[3]) - 1;
  return h("tr.gap", {}, h("td", { colspan: "4" }, left > 0 ? plural(left, "unchanged line") : "⋯"));
}

function row([kind, oldLine, old, newLine, text]) {
  const [a, b] = kind === "changed" ? marked(old, text) : [old, text];
  const left = oldLine == null ? "td.none" : kind === "same" ? "td" : "td.del";
  const right = newLine == null ? "td.none" : kind === "same" ? "td" : "td.add";
  return h(
    "tr",
    {},
    h("td.n", {}, oldLine ?? ""),
    h(left, {}, a),
    h("td.n", {}, newLine ?? ""),
    h(right, {}, b),
  );
}

/** The middle that differs, when most of the line is the same. */
function marked(a, b) {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  if (start + end < Math.max(a.length, b.length) / 3) return [a, b];
  const split = (text) => [
    text.slice(0, start),
    text.length - end > start ? h("mark", {}, text.slice(start, text.length - end)) : null,
    text.slice(text.length - end),
  ];
  return [split(a), split(b)];
}
