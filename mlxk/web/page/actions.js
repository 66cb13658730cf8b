// What a person can do to a session: buttons, keys and the list of commands all come here.

import { post, text } from "./api.js";
import { $, h } from "./dom.js";
import { palette, question, tell, toast, trying } from "./dialogs.js";
import { changed, session, state } from "./state.js";
import { activeTab, address, busy } from "./tabs.js";

export function select(id, view = state.view) {
  if (id !== state.current)
    Object.assign(state, { current: id, pending: null, conversation: null, range: null });
  show(id == null ? "chat" : view);
  document.body.classList.remove("open");
  changed("current", "view");
}

export function show(view) {
  state.view = view;
  location.hash = state.current ? `${encodeURIComponent(session()?.name ?? state.current)}/${view}` : "";
  changed("view");
}

export function begin() {
  select(null);
  $("words")?.focus();
}

export async function fork(step, id = state.current) {
  const of = session(id);
  const made = await question({
    title: `Branch from step ${step} of ${of.name}`,
    text: "Files and conversation as they were then; the first session stays as it is.",
    fields: [{ name: "name", label: "Name (or none: one is made)", placeholder: `${of.name}-2` }],
    go: "Branch",
    send: ({ name }) => post(`sessions/${id}/fork`, { step, name: name || null }),
  });
  if (made) arrive(made.session);
}

export const forkLast = () => fork(session().past?.steps.at(-1)?.step ?? 0);

/** Another branch from before a prompt, with the prompt ready to be said in other words. */
export async function retry(step, text) {
  const made = await trying(() => post(`sessions/${state.current}/fork`, { step: step - 1 }));
  if (!made) return;
  arrive(made.session);
  state.words = text;
  changed("words");
}

function arrive(id) {
  select(id, "chat");
  changed("stale");
  $("words")?.focus();
}

export async function undo(step, id = state.current) {
  const of = session(id);
  const done = await question({
    title: step == null ? "Undo the last prompt" : `Back to step ${step}`,
    text: [
      `Files and conversation of ${of.name} become what they were. That is a step of its own: it can be undone, too.`,
    ],
    go: "Undo",
    send: () => post(`sessions/${id}/undo`, { step: step ?? null }),
  });
  if (done) toast(done.subject);
  if (done) changed("stale", "stepped");
}

export async function check() {
  const done = await question({
    title: "Check",
    text: "The command runs in the worktree. While it fails, the model goes on until it passes.",
    fields: [
      {
        name: "command",
        label: "Command",
        value: localStorage.getItem("check") ?? "",
        placeholder: "pytest -q",
      },
    ],
    go: "Run",
    send: ({ command }) => (
      localStorage.setItem("check", command),
      post(`sessions/${state.current}/check`, { command })
    ),
  });
  if (done) show("chat");
}

export async function land() {
  const of = session();
  const { checked_out: here, branches } = state.repository;
  const into = h(
    "select",
    {},
    branches.map((name) =>
      h("option", { value: name, selected: name === here }, name === here ? `${name} (checked out)` : name),
    ),
  );
  const merge = h("input", { type: "checkbox" });
  const done = await question({
    title: `Land ${of.name}`,
    text: "Its changes become one commit under your name. With a conflict nothing is changed.",
    fields: [
      { name: "into", label: "Onto", node: into },
      { name: "new", label: "or a new branch", placeholder: "name" },
      { name: "merge", label: "Keep every step (a merge)", node: merge },
    ],
    go: "Land",
    send: (values) =>
      post(`sessions/${state.current}/land`, {
        into: values.new ? null : values.into,
        new: values.new || null,
        merge: values.merge,
      }),
  });
  if (!done) return;
  const undone =
    done.before == null
      ? `git branch -D ${done.branch}`
      : `mlxk branch unland ${of.name} --from ${done.branch}`;
  if (done.before === done.commit) toast(`${done.branch} has all of it already`);
  else toast(`Landed on ${done.branch}: ${done.commit.slice(0, 8)}`, { hint: `undo: ${undone}` });
  changed("stale");
}

export async function remove() {
  const of = session();
  const force = h("input", { type: "checkbox" });
  const gone = await question({
    title: `Put ${of.name} into the trash`,
    text: "Branch and worktree go; it can be restored until the trash is pruned.",
    fields: [{ name: "force", label: "Also work that has not landed", node: force }],
    go: "Remove",
    danger: true,
    send: ({ force: sure }) => post(`sessions/${of.id}/remove`, { force: sure }),
  });
  if (!gone) return;
  toast(`${of.name} is in the trash`);
  if (state.current === of.id) select(null);
  changed("stale");
}

export async function restore(id) {
  const back = await trying(() => post(`trash/${id}/restore`));
  if (back) $("dialog").close();
  if (back) arrive(back.session);
}

export function trash() {
  const rows = state.trash.map(({ id, name, when }) =>
    h(
      "div.row",
      {},
      h("span.path", { dir: "auto" }, `${name} · ${new Date(when).toLocaleString()}`),
      h("button", { type: "button", onclick: () => restore(id) }, "Restore"),
    ),
  );
  tell(
    "Trash",
    rows.length ? rows : h("p", {}, "Nothing is in it."),
    state.trash.length
      ? h("button.danger", { type: "button", onclick: prune }, "Forget what is older than 30 days")
      : null,
  );
}

async function prune() {
  const gone = await trying(() => post("trash/prune", { days: 30 }));
  if (!gone) return;
  $("dialog").close();
  toast(gone.pruned ? `${gone.pruned} forgotten` : "Nothing is that old");
  changed("stale");
}

export async function abort() {
  const stopped = await trying(() => post(`sessions/${address()}/abort`));
  if (stopped?.waiting.length) {
    state.words = stopped.waiting.join("\n\n");
    changed("words");
  }
}

export async function model() {
  const set = await question({
    title: "Another model",
    text: "From the next prompt on; the conversation stays.",
    fields: [
      {
        name: "model",
        label: "Model",
        list: "models",
        value: activeTab()?.status.model.name ?? state.conversation?.model ?? "",
      },
    ],
    go: "Use it",
    send: ({ model: name }) => post(`sessions/${address()}/model`, { model: name }),
  });
  if (set) toast("It is loading.");
}

async function exported() {
  const of = session();
  const markdown = await trying(() => text(`sessions/${of.id}/export`));
  if (markdown == null) return;
  const url = URL.createObjectURL(new Blob([markdown], { type: "text/markdown" }));
  h("a", { href: url, download: `${of.name}.md` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

export async function letGo() {
  const closed = await trying(() => post(`sessions/${address()}/close`));
  if (closed) toast("Other programs may write it now.");
}

export async function link() {
  const made = await trying(() => post("link"));
  if (made) tell("Link for another browser", h("p", {}, "It works once."), h("pre", {}, made.url));
}

export function answer(allow, always = false) {
  const tab = activeTab();
  const asked = tab?.status.questions[0];
  if (asked) trying(() => post(`sessions/tab-${tab.status.tab}/answer`, { id: asked.id, allow, always }));
}

export function step(by) {
  const buttons = [...document.querySelectorAll(".session")];
  const at = buttons.findIndex((each) => each.dataset.session === state.current);
  const next = buttons[Math.max(0, Math.min(buttons.length - 1, at + by))];
  if (!next) return;
  select(next.dataset.session);
  next.scrollIntoView({ block: "nearest" });
}

/** Everything, with its key; what cannot be done now is left out. */
export function commands() {
  const of = session();
  const running = busy();
  const rest = of && !running;
  const all = [
    { name: "New session", key: "n", run: begin },
    { name: "Write a prompt", key: "i", run: () => $("words")?.focus() },
    { name: "Next session", key: "j", run: () => step(1) },
    { name: "Previous session", key: "k", run: () => step(-1) },
    { name: "Conversation", key: "c", run: () => show("chat") },
    of && { name: "Changes", key: "d", run: () => show("changes") },
    { name: "Graph of all sessions", key: "g", run: () => show("graph") },
    running && { name: "Stop the run", key: ".", run: abort },
    of && { name: "Branch from the last step", key: "f", run: forkLast },
    rest && { name: "Run a check", key: "t", run: check },
    rest && { name: "Land the work on a branch of yours", key: "l", run: land },
    rest && { name: "Undo the last prompt", key: "u", run: () => undo(null) },
    rest && { name: "Put the session into the trash", key: "#", run: remove },
    (of || state.pending) && { name: "Another model", key: "m", run: model },
    of && {
      name: "Export as Markdown",
      key: "e",
      run: exported,
    },
    rest && activeTab() && { name: "Let go of the session: another program may write it", run: letGo },
    { name: "Trash", run: trash },
    { name: "Link for another browser", run: link },
    { name: "Keys", key: "?", run: keys },
    ...state.sessions.map((each) => ({ name: `Go to ${each.name}`, run: () => select(each.id) })),
  ];
  return all.filter(Boolean);
}

export const openPalette = () => palette(commands());

export function keys() {
  const known = commands()
    .filter((each) => each.key)
    .map(({ name, key }) => [name, key]);
  const more = [
    ["Send", "Enter"],
    ["New line", "Shift Enter"],
    ["Recall the last prompt", "↑"],
    ["Leave the prompt", "Esc"],
    ["Answer a question", "y a x"],
    ["Everything", "Ctrl K"],
  ];
  const rows = [...known, ...more].map(([name, key]) => h("li", {}, h("span", {}, name), h("kbd", {}, key)));
  tell("Keys", h("ul.keys", {}, rows));
}
