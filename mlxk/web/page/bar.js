// The line above: which session, how it is, what can be done to it; and what is wrong, if anything.

import * as actions from "./actions.js";
import { $, h, renew } from "./dom.js";
import { session, state } from "./state.js";
import { activeTab, busy, condition } from "./tabs.js";

const NOW = { running: "working", asking: "asks you", interrupted: "cut off" };

export function drawBar() {
  const of = session();
  const tab = activeTab();
  const now = of ? condition(of) : tab?.status.state;
  const name = of?.name ?? "New session";
  const rest = of && !busy(tab);
  document.title = `${{ running: "● ", asking: "? " }[now] ?? ""}${name} · mlxk`;
  renew($("title"), [name, now, of?.landed].join(), () => [
    h("span.name", { dir: "auto", title: of?.branch }, name),
    now && now !== "idle" ? h(`span.chip.${now}`, {}, h("span.dot"), NOW[now] ?? now) : null,
    of?.landed ? h("span.chip", {}, "landed") : null,
  ]);
  renew($("actions"), `${Boolean(of)} ${Boolean(rest)}`, () => [
    of ? button("Branch", "Another future from the last step (f)", actions.forkLast) : null,
    rest ? button("Check", "Run a command that must pass (t)", actions.check) : null,
    rest ? button("Undo", "Undo the last prompt (u)", () => actions.undo(null)) : null,
    rest ? button("Land", "Bring the work to a branch of yours (l)", actions.land) : null,
    h("button.icon", { onclick: actions.openPalette, "aria-label": "Everything that can be done" }, "⋯"),
  ]);
}

export function drawBanner() {
  const lost = {
    lost: "The connection to mlxk is lost; what is shown may be old. Trying again…",
    refused: "mlxk was started anew: open the link that it printed.",
  }[state.connection];
  const words = lost ?? broken();
  $("banner").hidden = !words;
  renew($("banner"), words ?? "", () => words ?? "");
}

/** The model of what is shown, or of new sessions, when it cannot be had. */
function broken() {
  const name = activeTab()?.status.model.name ?? state.conversation?.model ?? state.hello?.model;
  const model = state.figures?.find((each) => each.name === name);
  return model?.phase === "failed" ? `${name} could not be loaded: ${model.error}` : null;
}

function button(name, title, onclick) {
  return h("button", { onclick, title }, name);
}
