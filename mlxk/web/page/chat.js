// The conversation: what is committed, then what is going on. Only what changed is drawn again.

import { post, Refused } from "./api.js";
import { callCard } from "./call.js";
import { $, h, replace } from "./dom.js";
import { fresh, leftovers, past } from "./fold.js";
import { output } from "./output.js";
import { write } from "./prose.js";
import { changed, state } from "./state.js";
import { activeTab } from "./tabs.js";

const drawn = new Map(); // item -> {node, show, version}
let base = { of: null, until: null, nodes: new Map() };

/** Actions on a message come from outside: {fork(step), undo(step), retry(step, text), changes(step)}. */
export function drawChat(view, actions) {
  const tab = activeTab();
  const live = tab?.live ?? fresh();
  if (!state.conversation && !live.active && !live.items.length)
    return replace(view, state.current ? waiting("Reading…") : welcome());
  const follow =
    view.scrollHeight - view.scrollTop - view.clientHeight < 80 || view.dataset.of !== key() || state.follow;
  state.follow = false;
  let column = view.querySelector(":scope > .column.chat");
  if (!column || view.dataset.of !== key()) {
    column = h(
      "div.column.chat",
      {},
      h("div.past"),
      h("div.live", { "aria-live": "polite", "aria-relevant": "additions" }),
    );
    replace(view, column);
    drawn.clear();
    base = { of: null, until: null, nodes: new Map() };
    view.dataset.of = key();
  }
  settleDown(tab, live);
  drawPast(column.firstChild, live, actions);
  drawLive(column.lastChild, live, tab, actions);
  if (follow) view.scrollTop = view.scrollHeight;
  drawDown(view);
}

const key = () => state.current ?? `tab-${state.pending}`;

/** The run has ended and the history has been read again: it is the truth now. */
function settleDown(tab, live) {
  if (live.ended && live.active && state.conversation && state.readAfter === tab.status.tab) {
    leftovers(live);
    state.readAfter = null;
  }
}

function drawPast(node, live, actions) {
  const until = live.active ? cut(live) : null;
  if (base.of === state.conversation && base.until === until) return;
  const nodes = new Map();
  for (const item of state.conversation ? past(state.conversation, until) : []) {
    const same = JSON.stringify(item);
    nodes.set(same, base.nodes.get(same) ?? made(item, actions).node);
  }
  base = { of: state.conversation, until, nodes };
  sync(node, [...nodes.values()]);
}

/** How many of the committed messages come before the run. */
function cut(live) {
  if (live.from != null) return live.from;
  const messages = state.conversation?.messages ?? [];
  const first = live.items[0];
  const written =
    messages.at(-1)?.role === "user" && first?.kind === "user" && messages.at(-1).text === first.text;
  return messages.length - (written ? 1 : 0);
}

function drawLive(node, live, tab, actions) {
  const items = live.active
    ? live.items
    : live.items.filter((item) => ["note", "check", "command"].includes(item.kind));
  const nodes = items.map((item) => {
    let known = drawn.get(item);
    if (!known) drawn.set(item, (known = made(item, actions, tab)));
    if (known.version !== item.version) {
      known.show?.();
      known.version = item.version;
    }
    return known.node;
  });
  const busy =
    tab &&
    ["running"].includes(tab.status.state) &&
    !live.items.some((item) => item.streaming && (item.text || item.thinking));
  if (busy) nodes.push(busyNode(tab));
  for (const text of live.queued)
    nodes.push(h("div.msg.user", {}, h("span.chip", {}, "waits"), h("div.said", { dir: "auto" }, text)));
  if (nodes.length !== node.children.length || nodes.some((each, index) => node.children[index] !== each))
    sync(node, nodes);
}

/** Keeps elements that stay where they are: an open detail, a selection, a focus. */
function sync(parent, nodes) {
  nodes.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
  while (parent.children.length > nodes.length) parent.lastChild.remove();
}

const busyLine = h("div.waiting", {}, h("span.dot.running"), h("span"));

function busyNode(tab) {
  const { name, phase } = tab.status.model;
  const engine = state.figures?.find((each) => each.name === name)?.engine;
  const loads = phase === "opening" || engine === "starting" || engine === "loading";
  busyLine.lastChild.textContent = loads ? `Loading ${name}…` : "Working…";
  return busyLine;
}

const MAKERS = { user, assistant, commit, check, command, note, ask };

function made(item, actions, tab) {
  const found = MAKERS[item.kind](item, actions, tab);
  found.show?.();
  return { version: item.version, ...found };
}

function user(item, actions) {
  const tools =
    item.step != null &&
    toolbar(
      item.step,
      h(
        "button.quiet",
        {
          onclick: () => actions.retry(item.step, item.text),
          title: "Another branch from before this prompt, to say it in other words",
        },
        "Edit in a branch",
      ),
      h(
        "button.quiet",
        {
          onclick: () => actions.undo(item.step - 1),
          title: "Files and conversation as they were before it",
        },
        "Undo from here",
      ),
    );
  return {
    node: h("div.msg.user", { "data-step": item.step }, h("div.said", { dir: "auto" }, item.text), tools),
  };
}

function assistant(item, actions) {
  const thoughts = h("div", { dir: "auto" });
  const thinking = h("details.thinking", { hidden: true }, h("summary", {}, "Thinking"), thoughts);
  const prose = h("div.prose", { dir: "auto" });
  const calls = h("div");
  const cards = new Map();
  const node = h("article.msg", { "data-step": item.step }, thinking, prose, calls);
  let written = null;
  return {
    node,
    show() {
      thinking.hidden = !item.thinking;
      if (thoughts.textContent.length !== item.thinking.length) thoughts.textContent = item.thinking;
      thinking.firstChild.textContent = item.streaming && !item.text ? "Thinking…" : "Thinking";
      if (written !== item.text) write(prose, (written = item.text));
      prose.classList.toggle("caret", Boolean(item.streaming && item.text));
      for (const call of item.calls) {
        if (!cards.has(call)) {
          cards.set(call, callCard(call));
          calls.append(cards.get(call).node);
        }
        cards.get(call).show();
      }
      const step = Math.max(item.step ?? -1, ...item.calls.map((call) => call.step ?? -1));
      if (step >= 0 && !node.querySelector(".tools"))
        node.append(
          toolbar(
            step,
            h(
              "button.quiet",
              { onclick: () => actions.fork(step), title: "Another future from here" },
              "Branch from here",
            ),
            h(
              "button.quiet",
              { onclick: () => actions.undo(step), title: "Back to here: files and conversation" },
              "Undo to here",
            ),
          ),
        );
    },
  };
}

function toolbar(step, ...buttons) {
  return h(
    "div.tools",
    { role: "toolbar", "aria-label": `Step ${step}` },
    h("span.no", {}, `step ${step}`),
    buttons,
  );
}

function commit(item, actions) {
  return {
    node: h(
      "div.commit",
      {},
      h("code", {}, item.commit.slice(0, 8)),
      h("span.subject", {}, item.subject),
      h("button.quiet", { onclick: () => actions.changes(item.number) }, "Show changes"),
    ),
  };
}

function check(item) {
  const passed = item.passed;
  return {
    node: h(
      passed ? "details.call.ok" : "details.call.failed",
      {},
      h(
        "summary",
        {},
        h("span.mark", {}, passed ? "✓" : "✕"),
        h("b", {}, "Check"),
        h("span.about", {}, item.command),
        h("span.took", {}, passed ? "passed" : `exit ${item.exit_code}`),
      ),
      h("div.inside", {}, output(item.output || "(it said nothing)")),
    ),
  };
}

function command(item) {
  const box = h("div.inside");
  const took = h("span.took");
  return {
    node: h(
      "details.call",
      { open: true },
      h("summary", {}, h("span.mark", {}, "$"), h("b", {}, "You"), h("span.about", {}, item.command), took),
      box,
    ),
    show() {
      took.textContent = item.exit_code == null ? "running" : `exit ${item.exit_code}`;
      replace(box, output(item.output));
    },
  };
}

function note(item) {
  return {
    node: h(
      `div.note.${item.level}`,
      { role: item.level === "error" ? "alert" : null },
      h("span", { dir: "auto" }, item.text),
      item.hint ? h("span.hint", {}, item.hint) : null,
    ),
  };
}

function ask(item, actions, tab) {
  const row = h("div.row");
  const say = async (allow, always = false) => {
    try {
      await post(`sessions/tab-${tab.status.tab}/answer`, { id: item.id, allow, always });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      changed("live");
    }
  };
  const node = h(
    "div.ask",
    { role: "group", "aria-label": "Permission" },
    h("b", {}, `May ${item.name} run?`),
    h("pre", {}, item.about),
    row,
  );
  return {
    node,
    show() {
      if (item.allowed != null) return replace(row, h("span", {}, item.allowed ? "Allowed" : "Refused"));
      replace(
        row,
        h("button.primary", { onclick: () => say(true) }, "Allow ", h("kbd", {}, "y")),
        h(
          "button",
          { onclick: () => say(true, true), title: "For this tool, as long as the session is open here" },
          `Always allow ${item.name} `,
          h("kbd", {}, "a"),
        ),
        h("button.danger", { onclick: () => say(false) }, "Refuse ", h("kbd", {}, "x")),
      );
    },
  };
}

function waiting(text) {
  return h("div.column", {}, h("div.waiting", {}, text));
}

function welcome() {
  const keys = [
    ["Enter", "send"],
    ["Ctrl K", "everything that can be done"],
    ["j / k", "next, previous session"],
    ["g / c / d", "graph, conversation, changes"],
    ["?", "all keys"],
  ];
  return h(
    "div.welcome",
    {},
    h("img", { src: "/page/icon.svg", width: "52", height: "52", alt: "" }),
    h("h2", {}, "What should be done?"),
    h(
      "p",
      {},
      "The agent works in a worktree of its own. Every step is a commit; your checkout is never touched.",
    ),
    h(
      "dl",
      {},
      keys.map(([name, what]) => [h("dt", {}, h("kbd", {}, name)), h("dd", {}, what)]),
    ),
  );
}

/** A way back to the end when somebody reads further up. */
function drawDown(view) {
  const far = view.scrollHeight - view.scrollTop - view.clientHeight > 240;
  const there = $("down");
  if (far && !there)
    $("composer").prepend(
      h(
        "button",
        { id: "down", type: "button", onclick: () => view.scrollTo({ top: view.scrollHeight }) },
        "↓ Latest",
      ),
    );
  if (!far && there) there.remove();
}

export const watchScroll = (view) =>
  view.addEventListener("scroll", () => state.view === "chat" && drawDown(view), { passive: true });
