// The sessions at the side: a list with the lines of the tree before it.

import { $, ago, h, plural, renew, short, svg } from "./dom.js";
import { state } from "./state.js";
import { condition } from "./tabs.js";
import { lanes, ordered } from "./tree.js";

const ROW = 46;
const INDENT = 15;
const DEEPEST = 6;

export function drawSide(select) {
  const rows = ordered(state.sessions);
  const colours = lanes(rows);
  $("repository").textContent = state.repository?.repository ?? "mlxk";
  $("checkedout").textContent = state.repository?.checked_out ?? "no branch";
  const focused = document.activeElement?.dataset?.session;
  const key = JSON.stringify([
    state.current,
    rows.map(({ session: s }) => [s.id, facts(s), condition(s), s.head]),
  ]);
  renew($("sessions"), key, () => [
    rows.length
      ? lines(rows, colours)
      : h("p.empty", {}, "No sessions yet. Each is a branch of its own, and can be forked at any step."),
    rows.map((row, index) => button(row, colours[index], select)),
  ]);
  if (focused)
    $("sessions")
      .querySelector(`[data-session="${CSS.escape(focused)}"]`)
      ?.focus();
}

const across = (depth) => 12 + Math.min(depth, DEEPEST) * INDENT;
const down = (row) => row * ROW + ROW / 2;

function button({ session, depth }, colour, select) {
  const past = session.past;
  const node = h(
    "button.session",
    {
      "data-session": session.id,
      "aria-current": String(session.id === state.current),
      title: session.branch,
      onclick: () => select(session.id),
    },
    h(
      "span.who",
      {},
      h("b", { dir: "auto" }, short(session.name, 27 - 2 * Math.min(depth, DEEPEST))),
      h("small", {}, facts(session)),
    ),
    past?.files
      ? h(
          "span.num",
          { "aria-label": `${past.additions} lines added, ${past.deletions} deleted` },
          past.additions ? h("span.plus", {}, `+${past.additions}`) : null,
          past.deletions ? h("span.minus", {}, `−${past.deletions}`) : null,
        )
      : null,
  );
  node.style.paddingInlineStart = `${across(depth) + 16}px`;
  return node;
}

function facts(session) {
  const past = session.past;
  return [
    words(condition(session)),
    session.landed ? "landed" : null,
    past ? plural(past.steps.at(-1)?.step ?? 0, "step") : null,
    ago(session.when),
  ]
    .filter(Boolean)
    .join(" · ");
}

function words(now) {
  return (
    { running: "working", asking: "asks you", interrupted: "cut off", failed: "failed", damaged: "damaged" }[
      now
    ] ?? null
  );
}

function lines(rows, colours) {
  const drawing = svg("svg", {
    width: across(DEEPEST) + 12,
    height: rows.length * ROW,
    "aria-hidden": "true",
  });
  rows.forEach(({ depth, parent }, index) => {
    if (parent == null) return;
    const [x, y, px, py] = [across(depth), down(index), across(rows[parent].depth), down(parent)];
    drawing.append(
      svg("path", {
        d: `M${px} ${py + 6}V${y - 10}Q${px} ${y} ${px + 9} ${y}H${x - 5}`,
        fill: "none",
        stroke: `var(--lane-${colours[parent]})`,
        "stroke-width": "2",
        "stroke-opacity": ".55",
      }),
    );
  });
  rows.forEach(({ session, depth }, index) => {
    const now = condition(session);
    const colour =
      { asking: "var(--warn)", failed: "var(--bad)", interrupted: "var(--bad)", damaged: "var(--bad)" }[
        now
      ] ?? `var(--lane-${colours[index]})`;
    const full = session.landed || now === "running" || now === "asking";
    drawing.append(
      svg("circle", {
        cx: across(depth),
        cy: down(index),
        r: 5,
        fill: full ? colour : "var(--panel)",
        stroke: colour,
        "stroke-width": "2",
        class: now === "running" ? "live" : null,
      }),
    );
  });
  return drawing;
}
