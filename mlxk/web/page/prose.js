// The model's words with a little typography. Builds elements from text; never reads HTML, links or images.

import { h } from "./dom.js";

/** Bring `node` up to date with `text`; blocks that did not change keep their elements. */
export function write(node, text) {
  const wanted = blocks(text);
  wanted.forEach((source, index) => {
    const there = node.children[index];
    if (there && sources.get(there) === source) return;
    const made = block(source);
    sources.set(made, source);
    if (there) there.replaceWith(made);
    else node.append(made);
  });
  while (node.children.length > wanted.length) node.lastChild.remove();
}

const sources = new WeakMap();
const FENCE = /^ {0,3}(`{3,}|~{3,})(.*)$/;
const ITEM = /^(\s*)(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;

/** Sources of blocks: fences whole, the rest parted by empty lines. */
function blocks(text) {
  const found = [];
  let lines = [];
  let fence = null;
  const end = () => {
    if (lines.length) found.push(lines.join("\n"));
    lines = [];
  };
  for (const line of text.split("\n")) {
    const mark = FENCE.exec(line);
    if (fence) {
      lines.push(line);
      if (mark && mark[1].startsWith(fence) && !mark[2].trim()) {
        fence = null;
        end();
      }
    } else if (mark) {
      end();
      fence = mark[1];
      lines.push(line);
    } else if (line.trim()) lines.push(line);
    else end();
  }
  end();
  return found;
}

function block(source) {
  const lines = source.split("\n");
  const fence = FENCE.exec(lines[0]);
  if (fence) return code(lines, fence[1]);
  const head = /^(#{1,6})\s+(.*)$/.exec(lines[0]);
  if (head && lines.length === 1) return h("h3", {}, inline(head[2]));
  if (/^\s{0,3}([-*_])(\s*\1){2,}\s*$/.test(source)) return h("hr");
  if (lines.every((line) => line.startsWith(">")))
    return h("blockquote", {}, block(lines.map((line) => line.replace(/^> ?/, "")).join("\n")));
  if (ITEM.test(lines[0])) return list(lines);
  return h("p", {}, inline(source));
}

function code(lines, mark) {
  const closed = lines.length > 1 && lines.at(-1).trim().startsWith(mark);
  return h("pre", { tabindex: "0" }, h("code", {}, lines.slice(1, closed ? -1 : undefined).join("\n")));
}

function list(lines) {
  const first = ITEM.exec(lines[0]);
  const made = first[2] ? h("ol", { start: first[2] }) : h("ul");
  let words = null;
  const end = () => words != null && made.append(h("li", {}, inline(words)));
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item) {
      end();
      words = item[3];
    } else words += `\n${line.trim()}`;
  }
  end();
  return made;
}

/** `code`, **strong**, *emphasis*; everything else as it is. */
function inline(text) {
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(
    /(`+)([^`]+?)\1(?!`)|\*\*(\S(?:[^*\n]*\S)?)\*\*|\*([^\s*](?:[^*\n]*[^\s*])?)\*/g,
  )) {
    nodes.push(text.slice(at, match.index));
    if (match[2] != null) nodes.push(h("code", {}, match[2]));
    else if (match[3] != null) nodes.push(h("strong", {}, match[3]));
    else nodes.push(h("em", {}, match[4]));
    at = match.index + match[0].length;
  }
  return [...nodes, text.slice(at)];
}
