// Long text that stays usable: in pieces that the browser lays out only when they are seen.

import { bytes, h, replace } from "./dom.js";

const PIECE = 12_000;
const SHOWN = 20_000;

/** `text`, its end cut when long; `whole` fetches the rest, when the server has more. */
export function output(text, { failed = false, size = 0, whole = null } = {}) {
  const box = h(failed ? "pre.output.failed" : "pre.output", { tabindex: "0" });
  const under = h("div.more");
  const total = Math.max(size, text.length);
  const showAll = async () => {
    const all = text.length < total && whole ? await whole() : text;
    replace(box, pieces(all));
    under.remove();
  };
  const cut = total > SHOWN;
  replace(box, pieces(cut ? text.slice(0, SHOWN) : text));
  if (!cut) return [box];
  const can = text.length >= total || whole;
  replace(
    under,
    h("span", {}, `${bytes(SHOWN)} of ${bytes(total)}`),
    can
      ? h("button.quiet", { onclick: showAll, type: "button" }, "Show all")
      : h("span", {}, "the rest is shown when the run has ended"),
  );
  return [box, under];
}

/** At line ends where there are any. */
export function pieces(text) {
  const made = [];
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + PIECE, text.length);
    const line = text.lastIndexOf("\n", end - 1);
    if (end < text.length && line > at) end = line + 1;
    made.push(h("div", {}, text.slice(at, end)));
    at = end;
  }
  return made;
}
