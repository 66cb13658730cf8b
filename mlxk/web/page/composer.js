// Where the prompt is written. Typing never waits for anything.

import { post, Refused } from "./api.js";
import { $, h, replace } from "./dom.js";
import { toast } from "./dialogs.js";
import { changed, session, state } from "./state.js";
import { activeTab, address, busy } from "./tabs.js";

const words = h("textarea", {
  id: "words",
  rows: "1",
  "aria-label": "Prompt",
  dir: "auto",
  enterkeyhint: "send",
});
const options = h("div.options");
const hint = h("span.hint");
const send = h("button.primary", { type: "submit" }, "Send");
const stop = h("button.danger", { type: "button", hidden: true }, "Stop ", h("kbd", {}, "."));

const wanted = {
  model: h("input", { type: "text", "aria-label": "Model", spellcheck: "false", list: "models" }),
  permissions: h(
    "select",
    { "aria-label": "Permissions" },
    [
      ["workspace", "may write its worktree"],
      ["ask", "asks before it writes"],
      ["read", "only reads"],
      ["all", "unconfined"],
    ].map(([value, name]) => h("option", { value }, name)),
  ),
  check: h("input", {
    type: "text",
    "aria-label": "Check",
    placeholder: "e.g. pytest -q",
    spellcheck: "false",
  }),
  clean: h("input", { type: "checkbox" }),
};

const tries = h(
  "select",
  { "aria-label": "Futures", title: "So many branches work on it at once" },
  [1, 2, 3, 4, 6, 8].map((count) => h("option", { value: count }, count === 1 ? "here" : `${count} futures`)),
);

let last = "";

export function buildComposer({ abort }) {
  replace(
    options,
    h("label", {}, "Model ", wanted.model),
    h("label", {}, "Agent ", wanted.permissions),
    h("label", {}, "Check ", wanted.check),
    h("label", { title: "Start from HEAD, without your uncommitted work" }, wanted.clean, " clean start"),
  );
  replace($("composer"), h("div", {}, words, options, h("div.row", {}, hint, tries, stop, send)));
  $("composer").addEventListener("submit", (event) => (event.preventDefault(), submit()));
  stop.addEventListener("click", abort);
  words.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape") words.blur();
    else if (event.key === "ArrowUp" && !words.value && last) {
      words.value = last;
      event.preventDefault();
    }
  });
}

export function drawComposer() {
  const running = busy();
  const fresh = state.current == null && state.pending == null;
  const now = session();
  const other = now?.state === "running" && !activeTab();
  options.hidden = !fresh;
  stop.hidden = !running;
  tries.hidden = running || !now;
  send.textContent = running ? "Queue" : "Send";
  words.placeholder = fresh
    ? "What should be done?"
    : running
      ? "Say what comes next; it waits for its turn"
      : "Go on…";
  hint.textContent = other
    ? "Another program writes this session: watch it here, or branch from it"
    : fresh
      ? "Starts a session in a worktree of its own"
      : "";
  if (state.words != null) {
    words.value = state.words;
    state.words = null;
    words.focus();
  }
  if (state.hello && !wanted.model.placeholder) {
    wanted.model.placeholder = state.hello.model;
    wanted.permissions.value = state.hello.permissions;
  }
}

async function submit() {
  const prompt = words.value;
  if (!prompt.trim() || send.disabled) return;
  send.disabled = true;
  try {
    await given(prompt);
    last = prompt;
    if (words.value === prompt) words.value = "";
    changed("current", "view", "live");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    toast(error.message, { hint: error.info.hint, bad: true });
  } finally {
    send.disabled = false;
  }
}

/** To a new session, to the one that is shown, or to several futures of it. */
async function given(prompt) {
  const count = tries.hidden ? 1 : Number(tries.value);
  if (count > 1) {
    await post(`sessions/${state.current}/futures`, { prompt, count });
    tries.value = "1";
    state.view = "graph";
    return changed("stale");
  }
  if (state.current == null && state.pending == null) {
    const { model, permissions, check, clean } = wanted;
    const settings = {
      model: model.value || null,
      permissions: permissions.value || null,
      check: check.value || null,
      clean: clean.checked,
    };
    state.pending = (await post("new", { prompt, ...settings })).tab;
  } else await post(`sessions/${address()}/prompt`, { prompt });
  state.view = "chat";
  state.follow = true;
}
