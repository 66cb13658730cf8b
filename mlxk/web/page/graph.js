// The tree of futures: a row a session, a dot a step, a curve where one forked from another.

import { h, plural, replace, short, svg } from "./dom.js";
import { session, state } from "./state.js";
import { condition } from "./tabs.js";
import { lanes, ordered } from "./tree.js";

const ROW = 52;
const TOP = 26;
const WIDE = 26;
const DENSE = 11;

let chosen = null; // {session, step}

export function drawGraph(view, actions) {
  const rows = ordered(state.sessions);
  if (!rows.length) return void replace(view, h("div.column", {}, h("p.remark", {}, "No sessions yet.")));
  const last = Math.max(1, ...rows.map(({ session }) => session.past?.steps.at(-1)?.step ?? 0));
  const gap = last > 60 ? DENSE : WIDE;
  const before = view.querySelector(".graph")?.scrollLeft ?? 0;
  const label = Math.min(210, Math.max(120, view.clientWidth * 0.25));
  const width = Math.max(label + 40 + (last + 1) * gap, view.clientWidth - 36);
  const drawing = svg("svg", {
    width,
    height: rows.length * ROW + 16,
    role: "group",
    "aria-label": "Sessions and their steps",
  });
  const colours = lanes(rows);
  const spot = (row, step) => [label + 18 + step * gap, TOP + row * ROW];
  rows.forEach((row, index) =>
    drawing.append(
      svg("rect", {
        class: row.session.id === state.current ? "band current" : "band",
        x: 0,
        y: index * ROW + 2,
        width,
        height: ROW - 4,
        rx: 9,
      }),
    ),
  );
  rows.forEach((row, index) => drawEdges(drawing, rows, row, index, colours[index], spot));
  rows.forEach((row, index) => drawRow(drawing, row, index, colours[index], spot, label, actions, view));
  const box = h("div.graph", { tabindex: "-1", dir: "ltr" }, drawing);
  replace(view, h("div", {}, legend(rows.length), box, card(actions, view)));
  box.scrollLeft = before || (current(rows)?.past?.steps.length > 40 ? width : 0);
}

const current = (rows) => rows.find((row) => row.session.id === state.current)?.session;

function drawEdges(drawing, rows, { session, parent }, row, colour, spot) {
  const steps = session.past?.steps ?? [];
  if (!steps.length) return;
  const [x, y] = spot(row, steps[0].step);
  const [end] = spot(row, steps.at(-1).step);
  const stroke = `var(--lane-${colour})`;
  if (parent != null) {
    const [px, py] = spot(parent, session.fork_step);
    drawing.append(
      svg("path", {
        class: "edge",
        d: `M${px} ${py}C${px} ${py + ROW * 0.6} ${px} ${y} ${px + 16} ${y}H${end}`,
        stroke,
      }),
    );
  } else drawing.append(svg("path", { class: "edge", d: `M${x} ${y}H${end}`, stroke }));
}

function drawRow(drawing, { session, parent }, row, colour, spot, label, actions, view) {
  const steps = (session.past?.steps ?? []).filter((step) => parent == null || step.step > session.fork_step);
  const [, y] = spot(row, 0);
  drawing.append(
    svg(
      "text",
      { x: 14, y: y + 1, "font-weight": session.id === state.current ? 650 : 500 },
      short(session.name, Math.floor(label / 7.2)),
    ),
    svg(
      "text",
      { class: "soft", x: 14, y: y + 16 },
      [facts(session), session.landed ? "landed" : null].filter(Boolean).join(" · "),
    ),
  );
  for (const step of steps)
    drawing.append(node(session, step, spot(row, step.step), `var(--lane-${colour})`, actions, view));
  const now = condition(session);
  if (now === "running" || now === "asking") {
    const [x] = spot(row, steps.at(-1)?.step ?? session.fork_step ?? 0);
    drawing.append(
      svg("circle", {
        class: "live",
        cx: x + 15,
        cy: y,
        r: 4,
        fill: now === "asking" ? "var(--warn)" : "var(--accent)",
      }),
    );
  }
}

function node(session, step, [x, y], colour, actions, view) {
  const choose = () => {
    chosen = { session: session.id, step };
    drawGraph(view, actions);
    view.querySelector(".node.chosen")?.focus({ preventScroll: true });
  };
  const keys = (event) => {
    if (event.key === "Enter" || event.key === " ") choose();
    else if (event.key.startsWith("Arrow")) neighbour(event.currentTarget, event.key)?.focus();
    else return;
    event.preventDefault();
  };
  const is = chosen?.session === session.id && chosen.step.step === step.step;
  return svg(
    "g",
    {
      class: is ? "node chosen" : "node",
      tabindex: is || step === session.past.steps.at(-1) ? "0" : "-1",
      role: "button",
      "data-at": `${x} ${y}`,
      "aria-label": `${session.name}, step ${step.step}: ${step.subject}`,
      onclick: choose,
      ondblclick: () => actions.show(session.id, step.step),
      onkeydown: keys,
    },
    svg("title", {}, `step ${step.step}: ${step.subject}`),
    svg("circle", { class: "hit", cx: x, cy: y, r: 12 }),
    svg("circle", {
      class: "face",
      cx: x,
      cy: y,
      r: step.changed ? 5.5 : 3.5,
      fill: step.changed ? colour : "var(--panel)",
      stroke: colour,
    }),
  );
}

/** The next step in its row, or the nearest one in the row above or below. */
function neighbour(node, key) {
  const place = (each) => each.dataset.at.split(" ").map(Number);
  const [x, y] = place(node);
  const away = {
    ArrowRight: ([a, b]) => b === y && a > x,
    ArrowLeft: ([a, b]) => b === y && a < x,
    ArrowDown: ([, b]) => b > y,
    ArrowUp: ([, b]) => b < y,
  }[key];
  const far = ([a, b]) => Math.abs(b - y) * 100 + Math.abs(a - x);
  const found = [...node.parentNode.querySelectorAll(".node")].filter((each) => away(place(each)));
  return found.sort((a, b) => far(place(a)) - far(place(b)))[0];
}

function legend(count) {
  return h(
    "div.legend",
    {},
    h("span", {}, plural(count, "session")),
    h("span", {}, h("i.full"), "changed files"),
    h("span", {}, h("i"), "words only"),
    h("span", {}, "a curve is a fork; double click shows the step"),
  );
}

function card(actions, view) {
  const known = chosen && session(chosen.session);
  if (!known)
    return h("div.card", {}, h("p", {}, "Choose a step to look at it, branch from it or go back to it."));
  const { step } = chosen;
  return h(
    "section.card",
    { "aria-label": "The chosen step" },
    h("h2", { dir: "auto" }, step.subject),
    h(
      "p",
      {},
      `${known.name} · step ${step.step} · ${new Date(step.when).toLocaleString()} · ${step.commit.slice(0, 12)}`,
    ),
    h(
      "div.row",
      {},
      h("button.primary", { onclick: () => actions.show(known.id, step.step) }, "Show in the conversation"),
      step.changed ? h("button", { onclick: () => actions.changes(step.step, known.id) }, "Changes") : null,
      h("button", { onclick: () => actions.fork(step.step, known.id) }, "Branch from here"),
      h("button", { onclick: () => actions.undo(step.step, known.id) }, "Undo to here"),
    ),
  );
}

function facts(session) {
  const steps = session.past?.steps.at(-1)?.step ?? 0;
  const now = { running: "working", asking: "asks you", interrupted: "cut off", failed: "failed" }[
    condition(session)
  ];
  return (
    now ??
    (session.past
      ? `${plural(steps, "step")}  +${session.past.additions} −${session.past.deletions}`
      : "damaged")
  );
}
