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

let last = "";

export function buildComposer({ abort }) {
  replace(
    options,
    h("label", {}, "Model ", wanted.model),
    h("label", {}, "Agent ", wanted.permissions),
    h("label", {}, "Check ", wanted.check),
    h("label", { title: "Start from HEAD, without your uncommitted work" }, wanted.clean, " clean start"),
  );
  replace($("composer"), h("div", {}, words, options, h("div.row", {}, hint, stop, send)));
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
    const fresh = state.current == null && state.pending == null;
    const given = {
      prompt,
      model: wanted.model.value || null,
      permissions: wanted.permissions.value || null,
      check: wanted.check.value || null,
      clean: wanted.clean.checked,
    };
    const { tab } = fresh ? await post("new", given) : await post(`sessions/${address()}/prompt`, { prompt });
    if (fresh) state.pending = tab;
    last = prompt;
    if (words.value === prompt) words.value = "";
    state.view = "chat";
    state.follow = true;
    changed("current", "view", "live");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    toast(error.message, { hint: error.info.hint, bad: true });
  } finally {
    send.disabled = false;
  }
}
