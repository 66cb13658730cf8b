// The view of what a session changed: since its start, in one step, or against another session.

import { get, Refused } from "./api.js";
import { h, plural, replace } from "./dom.js";
import { fileSides } from "./sides.js";
import { session, state } from "./state.js";

let shown = { key: null, node: null };

/** `range`: {step} or {against} or nothing; kept in state.range. */
export async function drawChanges(view) {
  const known = session();
  const range = state.range ?? {};
  const key = JSON.stringify([state.current, known?.head, range, known && state.sessions.length]);
  if (shown.key === key && view.firstChild === shown.node) return;
  const top = shown.key?.startsWith(`["${state.current}"`) ? view.scrollTop : 0;
  shown = { key, node: h("div.column") };
  shown.node.style.maxWidth = "1400px";
  replace(view, shown.node);
  if (!known) return void replace(shown.node, h("p.remark", {}, "No session yet: give it a prompt."));
  await fill(shown.node, known, range);
  view.scrollTop = top;
}

async function fill(node, known, range) {
  const query =
    range.step != null
      ? `?step=${range.step}`
      : range.against
        ? `?against=${encodeURIComponent(range.against)}`
        : "";
  let found;
  try {
    found = await get(`sessions/${state.current}/changes${query}`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return void replace(node, picker(known, range), h("div.note.error", {}, error.message));
  }
  const sum = h(
    "div.sum",
    {},
    picker(known, range),
    h("span", {}, plural(found.files.length, "file")),
    h("span.plus", {}, `+${found.additions}`),
    h("span.minus", {}, `−${found.deletions}`),
  );
  const few = found.files.length <= 20;
  replace(
    node,
    sum,
    found.files.length
      ? found.files.map((file) => fileSides(file, few))
      : h("p.remark", {}, "Nothing differs."),
  );
}

function picker(known, range) {
  const steps = (known.past?.steps ?? []).filter((step) => step.changed);
  const others = state.sessions.filter((each) => each.id !== known.id);
  const pick = (event) => {
    const [kind, value] = event.target.value.split(":");
    state.range = kind === "step" ? { step: Number(value) } : kind === "against" ? { against: value } : {};
    drawChanges(document.getElementById("view"));
  };
  const now =
    range.step != null ? `step:${range.step}` : range.against ? `against:${range.against}` : "start:";
  return h(
    "select",
    { "aria-label": "What to compare", onchange: pick, value: now },
    h("option", { value: "start:", selected: now === "start:" }, "Since the start"),
    steps.length
      ? h(
          "optgroup",
          { label: "One step" },
          steps.map((step) =>
            h(
              "option",
              { value: `step:${step.step}`, selected: now === `step:${step.step}` },
              `${step.step}  ${step.subject}`,
            ),
          ),
        )
      : null,
    others.length
      ? h(
          "optgroup",
          { label: "Against another session" },
          others.map((each) =>
            h("option", { value: `against:${each.id}`, selected: now === `against:${each.id}` }, each.name),
          ),
        )
      : null,
  );
}
