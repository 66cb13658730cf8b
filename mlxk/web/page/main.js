// Puts the page together: what is read when, what is drawn when, and the keys.

import * as actions from "./actions.js";
import { get, Refused } from "./api.js";
import { drawBanner, drawBar } from "./bar.js";
import { drawChanges } from "./changes.js";
import { drawChat, watchScroll } from "./chat.js";
import { buildComposer, drawComposer } from "./composer.js";
import { $, h, replace } from "./dom.js";
import { drawFigures } from "./figures.js";
import { drawGraph } from "./graph.js";
import { connect } from "./live.js";
import { drawSide } from "./side.js";
import { changed, on, session, state } from "./state.js";
import { activeTab, busy, condition } from "./tabs.js";

const VIEWS = [
  ["chat", "Conversation"],
  ["changes", "Changes"],
  ["graph", "Graph"],
];

const onMessages = {
  fork: actions.fork,
  undo: actions.undo,
  retry: actions.retry,
  changes(step, id = state.current) {
    if (id !== state.current) actions.select(id);
    state.range = { step };
    actions.show("changes");
  },
  show(id, step) {
    state.scrollTo = step;
    actions.select(id, "chat");
  },
};

function drawView() {
  const view = $("view");
  for (const tab of $("views").children)
    tab.setAttribute("aria-selected", String(tab.dataset.view === state.view));
  $("composer").hidden = state.view === "graph";
  if (state.view !== "chat") $("down")?.remove();
  if (state.view === "chat") drawChat(view, onMessages);
  else delete view.dataset.of;
  if (state.view === "changes") drawChanges(view);
  if (state.view === "graph") drawGraph(view, onMessages);
  reach(view);
}

/** A step that was chosen in the graph. */
function reach(view) {
  if (state.scrollTo == null || state.view !== "chat" || !state.conversation) return;
  const nodes = [...view.querySelectorAll("[data-step]")];
  const node = nodes.find((each) => Number(each.dataset.step) >= state.scrollTo) ?? nodes.at(-1);
  node?.scrollIntoView({ block: "center" });
  state.scrollTo = null;
}

async function readSessions() {
  const found = await quiet(() => get("sessions"));
  if (!found) return;
  state.repository = found;
  state.sessions = found.sessions;
  state.trash = found.trash;
  adopt();
  if (
    state.current &&
    !session() &&
    ![...state.tabs.values()].some((tab) => tab.status.session === state.current)
  )
    actions.select(null);
  readHash();
  const now = session();
  if (now && !busy() && state.conversation?.head !== now.head) readConversation();
  changed("sessions", "view");
}

/** A new session that has its id now. */
function adopt() {
  const id = state.tabs.get(state.pending)?.status.session;
  if (!id || !session(id)) return;
  Object.assign(state, { current: id, pending: null });
  actions.show(state.view);
  readConversation();
}

let reading = false;
let again = false;

/** One at a time; what happens meanwhile is read after it. */
async function readConversation() {
  again = reading;
  if (reading || !state.current) return;
  reading = true;
  const id = state.current;
  const ended = activeTab()?.live.ended ? activeTab().status.tab : null;
  const found = await quiet(() => get(`sessions/${id}`));
  reading = false;
  if (again || state.current !== id) return readConversation();
  if (!found) return;
  state.conversation = found;
  state.readAfter = ended;
  changed("view", "figures");
}

/** A request whose failure the connection's own banner tells. */
async function quiet(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.info.type !== "unreachable") console.warn(error.message);
    return null;
  }
}

let asked = false;

function readHash() {
  if (asked || !location.hash) return void (asked = true);
  asked = true;
  const [name, view] = location.hash.slice(1).split("/");
  const found = state.sessions.find((each) => each.name === decodeURIComponent(name));
  if (found) actions.select(found.id, VIEWS.some(([known]) => known === view) ? view : "chat");
}

function onKey(event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k")
    return (event.preventDefault(), actions.openPalette());
  const writing = event.target.closest("input, textarea, select, dialog");
  if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (activeTab()?.status.state === "asking" && "yax".includes(event.key)) {
    event.preventDefault();
    return actions.answer(event.key !== "x", event.key === "a");
  }
  const found = actions.commands().find((each) => each.key === event.key);
  if (!found) return;
  event.preventDefault();
  found.run();
}

function build() {
  buildComposer({ abort: actions.abort });
  replace(
    $("views"),
    VIEWS.map(([view, name]) =>
      h(
        "button",
        { role: "tab", "data-view": view, "aria-controls": "view", onclick: () => actions.show(view) },
        name,
      ),
    ),
  );
  replace(
    $("below"),
    h("button.quiet", { onclick: actions.trash }, "Trash"),
    h("button.quiet", { onclick: actions.keys }, "Keys ", h("kbd", {}, "?")),
    h("button.quiet", { onclick: actions.openPalette }, "Everything ", h("kbd", {}, "Ctrl K")),
  );
  $("new").addEventListener("click", actions.begin);
  document.addEventListener("focusin", offerModels);
  $("menu").addEventListener("click", () => open(true));
  $("veil").addEventListener("click", () => open(false));
  document.addEventListener("keydown", onKey);
  watchScroll($("view"));
  addEventListener("resize", () => state.view === "graph" && changed("view"));
}

/** Read the names when somebody is about to choose one. */
async function offerModels({ target }) {
  if (target.getAttribute("list") !== "models" || $("models").children.length) return;
  const found = await quiet(() => get("models"));
  replace($("models"), found?.models.map((value) => h("option", { value })) ?? []);
}

function open(is) {
  document.body.classList.toggle("open", is);
  $("veil").hidden = !is;
  if (is) $("sessions").querySelector("button")?.focus();
}

on("sessions tabs current", () => drawSide(actions.select));
on("sessions tabs current view", drawBar);
on("view current live", drawView);
on("tabs sessions", () => state.view === "graph" && drawView());
on("tabs current view words", drawComposer);
on("tabs live figures connection current", drawFigures);
on("connection tabs current figures", drawBanner);
on("current", () => (open(false), state.current ? readConversation() : null));
on("stale ended reload", readSessions);
on("ended reload", readConversation);
on("stepped", () => state.view === "graph" && readSessions());
on("tabs", () => state.pending && adoptSoon());

/** The tab that the command line asked for, when nothing else is chosen. */
function goToFirst() {
  const first = state.hello?.first;
  const status = state.tabs.get(first)?.status;
  if (!status || location.hash || state.current || state.pending) return;
  state.hello.first = null;
  if (status.session && session(status.session)) actions.select(status.session);
  else state.pending = first;
  changed("current", "view");
}

on("tabs", goToFirst);

function adoptSoon() {
  if (state.tabs.get(state.pending)?.status.session) readSessions();
}

setInterval(() => changed("sessions", "figures"), 30_000);
setInterval(() => [...state.tabs.values()].some(busy) && drawFigures(), 500);
build();
drawView();
drawBar();
drawComposer();
state.hello = await quiet(() => get("hello"));
await readSessions();
connect();
drawComposer();
$("words").focus();
