// Questions in a box, words in a corner, and the list of everything that can be done.

import { Refused } from "./api.js";
import { $, h, replace } from "./dom.js";

/** A form in the dialog. `send(values)` may refuse: its words are shown and the form stays. Resolves to what it returns. */
export function question({ title, text = [], fields = [], go = "OK", danger = false, send }) {
  return new Promise((resolve) => {
    const wrong = h("p.wrong", { role: "alert", hidden: true });
    const button = h(danger ? "button.danger" : "button.primary", { type: "submit" }, go);
    const submit = async (event) => {
      event.preventDefault();
      button.disabled = true;
      const values = Object.fromEntries(
        fields.map(({ name, node }) => [name, node.type === "checkbox" ? node.checked : node.value]),
      );
      try {
        const found = await send(values);
        settle(found);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        wrong.hidden = false;
        wrong.textContent = [error.message, error.info.hint].filter(Boolean).join("\n");
        button.disabled = false;
      }
    };
    for (const field of fields)
      field.node ??= h("input", {
        type: "text",
        name: field.name,
        value: field.value ?? "",
        placeholder: field.placeholder,
        list: field.list,
        spellcheck: "false",
      });
    const settle = (value) => {
      dialog.onclose = null;
      dialog.close();
      resolve(value);
    };
    const form = h(
      "form",
      { method: "dialog", onsubmit: submit },
      h("h2", { id: "dialog-title" }, title),
      [text].flat().map((each) => (typeof each === "string" ? h("p", {}, each) : each)),
      fields.map(({ label, node }) =>
        h(
          node.type === "checkbox" ? "label.line" : "label",
          {},
          node.type === "checkbox" ? [node, label] : [label, node],
        ),
      ),
      wrong,
      h("div.row", {}, h("button", { type: "button", onclick: () => settle(null) }, "Cancel"), button),
    );
    const dialog = open(form);
    dialog.onclose = () => resolve(null);
    if (fields[0]?.node.type !== "text") button.focus();
  });
}

export function tell(title, ...children) {
  const dialog = open(
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "dialog-title" }, title),
      children,
      h("div.row", {}, h("button.primary", {}, "Close")),
    ),
  );
  dialog.onclose = null;
}

/** Type a few letters, choose with the arrows. */
export function palette(commands) {
  const input = h("input", {
    type: "text",
    placeholder: "What should happen?",
    "aria-label": "Filter",
    role: "combobox",
    "aria-expanded": "true",
    "aria-controls": "commands",
    spellcheck: "false",
  });
  const list = h("ul", { id: "commands", role: "listbox" });
  let at = 0;
  let found = [];
  const run = (command) => {
    dialog.close();
    command.run();
  };
  const draw = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    found = commands.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
    at = Math.max(0, Math.min(at, found.length - 1));
    replace(
      list,
      found.map((command, index) =>
        h(
          "li",
          {
            role: "option",
            id: `command-${index}`,
            "aria-selected": String(index === at),
            onclick: () => run(command),
          },
          h("span", { dir: "auto" }, command.name),
          command.key ? h("kbd", {}, command.key) : null,
        ),
      ),
    );
    input.setAttribute("aria-activedescendant", `command-${at}`);
    list.children[at]?.scrollIntoView({ block: "nearest" });
  };
  input.addEventListener("input", () => ((at = 0), draw()));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") at = Math.min(at + 1, found.length - 1);
    else if (event.key === "ArrowUp") at = Math.max(at - 1, 0);
    else if (event.key === "Enter" && found[at]) return (event.preventDefault(), run(found[at]));
    else return;
    event.preventDefault();
    draw();
  });
  const dialog = open(h("div.palette", {}, input, list));
  dialog.onclose = null;
  draw();
  input.focus();
}

export function toast(words, { hint = null, bad = false } = {}) {
  const node = h(
    bad ? "div.toast.bad" : "div.toast",
    { role: bad ? "alert" : null },
    h("span", { dir: "auto" }, words),
    hint ? h("code", {}, hint) : null,
  );
  $("toasts").append(node);
  node.addEventListener("click", () => node.remove());
  setTimeout(() => node.remove(), bad ? 12000 : 6000);
}

/** Carry out; a refusal becomes a toast. */
export async function trying(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    toast(error.message, { hint: error.info.hint, bad: true });
    return null;
  }
}

function open(content) {
  const dialog = $("dialog");
  if (dialog.open) dialog.close();
  replace(dialog, content);
  dialog.showModal();
  dialog.scrollTop = 0;
  return dialog;
}
