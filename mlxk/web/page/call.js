// One call of a tool: what it was given, what it said, how it went.

import { text } from "./api.js";
import { h, replace } from "./dom.js";
import { output } from "./output.js";
import { state } from "./state.js";

/** What people opened, also after the run has become history. */
const opened = new Set();

const MARKS = { running: "●", ok: "✓", failed: "✕", stopped: "–" };

/** A details element that is kept while the call goes on: `show` brings it up to date. */
export function callCard(call) {
  const mark = h("span.mark", { "aria-hidden": "true" });
  const took = h("span.took");
  const inside = h("div.inside");
  const node = h(
    "details.call",
    { open: opened.has(key(call)), ontoggle: toggled },
    h("summary", {}, mark, h("b", {}, call.name), h("span.about", {}, about(call)), took),
    inside,
  );
  let drawn = null;

  function toggled() {
    if (node.open) opened.add(key(call));
    else opened.delete(key(call));
    if (node.open) fill();
  }

  function fill() {
    const now = `${call.state}:${call.output.length}:${call.helper.length}`;
    if (drawn === now) return;
    drawn = now;
    replace(
      inside,
      given(call),
      call.helper.length ? [h("h4", {}, "Helper"), output(call.helper.join("\n"))] : null,
      call.output
        ? [
            h("h4", {}, call.state === "failed" ? "Failed" : "Output"),
            output(call.output, { failed: call.state === "failed", size: call.size, whole: whole(call) }),
          ]
        : null,
    );
  }

  return {
    node,
    show() {
      node.className = `call ${call.state}`;
      mark.textContent = MARKS[call.state];
      took.textContent = call.seconds == null ? words(call.state) : seconds(call.seconds);
      if (node.open) fill();
    },
  };
}

const key = (call) => `${state.current} ${call.id} ${call.arguments}`;

function whole(call) {
  if (call.step == null) return null;
  const session = state.current;
  return () => text(`sessions/${session}/output?step=${call.step}&call=${encodeURIComponent(call.id)}`);
}

function words(condition) {
  return { running: "running", stopped: "stopped" }[condition] ?? "";
}

function seconds(count) {
  return count < 0.1
    ? ""
    : count < 60
      ? `${count.toFixed(1)} s`
      : `${Math.floor(count / 60)} min ${Math.round(count % 60)} s`;
}

/** The argument that says most, in one line. */
function about(call) {
  const values = read(call.arguments);
  const best = values?.command ?? values?.path ?? values?.pattern ?? values?.prompt ?? values?.name;
  return String(best ?? call.arguments)
    .replace(/\s+/g, " ")
    .slice(0, 300);
}

function given(call) {
  const values = read(call.arguments);
  if (!values) return [h("h4", {}, "Arguments"), output(call.arguments)];
  return Object.entries(values).map(([name, value]) => [
    h("h4", {}, name),
    output(typeof value === "string" ? value : JSON.stringify(value, null, 2)),
  ]);
}

function read(json) {
  try {
    const value = JSON.parse(json);
    return value && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
