// The line below: connection, model, speed, context, cache.

import { $, h, replace } from "./dom.js";
import { state } from "./state.js";
import { activeTab, busy } from "./tabs.js";

const SPAN_MS = 3000;
const LETTERS = 4; // of a token, about, until an answer has told

const rates = new Map(); // tab -> {said: [[time, letters]], letters, last}

/** Listen to the words as they come, for their speed. */
export function weigh(tab, news, now = performance.now()) {
  const rate = rates.get(tab) ?? { said: [], total: 0, began: null, letters: LETTERS, last: null };
  rates.set(tab, rate);
  for (const { type, data } of news) {
    if (type === "turn.started") Object.assign(rate, { said: [], total: 0, began: null });
    if (type === "text.delta" || type === "thinking.delta") {
      rate.began ??= now;
      rate.total += data.text.length;
      rate.said.push([now, data.text.length]);
    }
    if (type === "usage" && rate.began != null && data.completion_tokens > 1) {
      const spent = (now - rate.began) / 1000;
      if (rate.total) rate.letters = Math.max(1, rate.total / data.completion_tokens);
      if (spent > 0.3) rate.last = data.completion_tokens / spent;
    }
  }
  while (rate.said.length && rate.said[0][0] < now - SPAN_MS) rate.said.shift();
}

function speed(tab) {
  const rate = rates.get(tab?.status.tab);
  if (!rate) return null;
  const now = performance.now();
  const fresh = rate.said.filter(([when]) => when > now - SPAN_MS);
  if (busy(tab) && fresh.length > 3) {
    const spent = Math.max(0.5, (now - fresh[0][0]) / 1000);
    return fresh.reduce((sum, [, letters]) => sum + letters, 0) / rate.letters / spent;
  }
  return rate.last;
}

export function drawFigures() {
  const tab = activeTab();
  const status = tab?.status;
  const name = status?.model.name ?? state.conversation?.model ?? state.hello?.model;
  const phase = status?.model.phase;
  const engine = state.figures?.find((each) => each.name === name && each.active != null);
  const running = [...state.tabs.values()].filter((each) => busy(each)).length;
  const rate = speed(tab);
  replace(
    $("status"),
    name
      ? figure("Model", [name, phase === "opening" ? " (loading)" : phase === "failed" ? " (failed)" : ""])
      : null,
    rate != null ? figure("", [h("b", {}, rate.toFixed(rate < 10 ? 1 : 0)), " tokens/s"]) : null,
    status?.context ? context(status) : null,
    status?.input_tokens
      ? figure("cached", h("b", {}, `${Math.round((100 * status.cached_tokens) / status.input_tokens)} %`))
      : null,
    status?.output_tokens ? figure("said", h("b", {}, short(status.output_tokens))) : null,
    engine
      ? figure("active", h("b", {}, String(engine.active)))
      : running
        ? figure("working", h("b", {}, String(running)))
        : null,
    engine?.restarts ? figure("engine restarts", h("b", {}, String(engine.restarts))) : null,
    h(
      "span.push",
      {},
      h(`span.dot.${state.connection === "connected" ? "ok" : "failed"}`),
      { connecting: "connecting", connected: "connected", lost: "not connected", refused: "not let in" }[
        state.connection
      ],
    ),
  );
}

function figure(label, value) {
  return h("span", {}, label ? `${label} ` : "", value);
}

function context({ context: used, model }) {
  if (!model.context) return figure("context", h("b", {}, short(used)));
  const part = Math.min(1, used / model.context);
  const bar = h("i");
  bar.style.width = `${Math.round(part * 100)}%`;
  return figure("context", [
    h("b", {}, short(used)),
    ` of ${short(model.context)}`,
    h(part > 0.8 ? "span.gauge.high" : "span.gauge", { "aria-hidden": "true" }, bar),
  ]);
}

function short(count) {
  return count < 1000
    ? String(count)
    : count < 1e6
      ? `${(count / 1e3).toFixed(count < 1e4 ? 1 : 0)}k`
      : `${(count / 1e6).toFixed(1)}M`;
}
