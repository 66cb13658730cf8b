// From messages and events to items that can be shown. Knows no element.
//
// An item: {kind: user | assistant | commit | check | command | note | ask, version, ...}. `version` grows with each change.

export const fresh = () => ({ items: [], queued: [], from: null, active: false, ended: false });

/** The committed conversation as items; `until` leaves out what a live run shows. */
export function past({ messages, steps }, until = null) {
  const items = [];
  const calls = new Map();
  const commits = new Map(steps.filter((step) => step.files.length).map((step) => [step.number, step]));
  let turn = 0;
  messages.slice(0, until ?? messages.length).forEach((message, index) => {
    if (message.role === "user")
      items.push({ kind: "user", text: message.text, step: message.step, version: 0 });
    if (message.role === "assistant") items.push(answer(message, ++turn, calls));
    if (message.role === "tool")
      for (const result of message.results) settle(calls.get(result.id), result, message.step);
    const next = messages[index + 1];
    if (commits.has(message.step) && next?.step !== message.step) {
      items.push({ kind: "commit", version: 0, ...commits.get(message.step) });
      commits.delete(message.step);
    }
  });
  for (const step of commits.values()) if (until == null) items.push({ kind: "commit", version: 0, ...step });
  return items;
}

/** Take one piece of news in. `own`: the session of the tab, whose helpers' events are told apart. */
export function feed(live, news, own) {
  const { type, data } = news;
  if (news.session && own && news.session !== own) return helper(live, news);
  const known = HEARD[type];
  if (known) known(live, data);
}

/** After the run: what the history does not hold. */
export function leftovers(live) {
  live.items = live.items.filter((item) => ["note", "check", "command"].includes(item.kind));
  live.from = null;
  live.active = false;
}

const HEARD = {
  prompt(live, data) {
    if (live.active && !live.ended) return live.queued.push(data.text);
    restart(live);
    live.items.push({ kind: "user", text: data.text, version: 0 });
  },
  state(live, { state }) {
    if (state === "running") {
      if (live.ended) {
        restart(live);
        if (live.queued.length) live.items.push({ kind: "user", text: live.queued.shift(), version: 0 });
      }
      live.active = true;
    } else if (state !== "asking" && live.active) {
      live.ended = true;
      for (const item of live.items) stop(item);
    }
  },
  "turn.started"(live, data) {
    live.from ??= data.messages - 1;
    for (const item of live.items) calm(item);
    live.items.push({ kind: "assistant", text: "", thinking: "", calls: [], streaming: true, version: 0 });
  },
  "text.delta": (live, data) => grow(live, "text", data.text),
  "thinking.delta": (live, data) => grow(live, "thinking", data.text),
  "tool.started"(live, data) {
    const item = last(live);
    item.calls.push({ ...data, state: "running", output: "", seconds: null, helper: [] });
    calm(item);
    item.version++;
  },
  "tool.output"(live, data) {
    touch(live, data.id, (call) => (call.output += data.text));
  },
  "tool.finished"(live, data) {
    touch(live, data.id, (call) =>
      Object.assign(call, {
        state: data.ok ? "ok" : "failed",
        seconds: data.seconds,
        output: data.text,
        size: data.size,
      }),
    );
  },
  "step.committed"(live, data) {
    const files = data.files.map((path) => ({ path, additions: 0, deletions: 0 }));
    live.items.push({
      kind: "commit",
      number: data.step,
      commit: data.commit,
      subject: data.subject,
      files,
      version: 0,
    });
  },
  "check.finished": (live, data) => live.items.push({ kind: "check", ...data, version: 0 }),
  "permission.asked": (live, data) => live.items.push({ kind: "ask", ...data, version: 0 }),
  "permission.answered"(live, data) {
    const item = live.items.find(
      (each) => each.kind === "ask" && each.id === data.id && each.allowed == null,
    );
    if (item) Object.assign(item, { allowed: data.allowed, version: item.version + 1 });
  },
  "command.started": (live, data) =>
    live.items.push({ kind: "command", command: data.command, output: "", version: 0 }),
  "command.output"(live, data) {
    const item = live.items.findLast((each) => each.kind === "command");
    if (item) Object.assign(item, { output: item.output + data.text, version: item.version + 1 });
  },
  "command.finished"(live, data) {
    const item = live.items.findLast((each) => each.kind === "command");
    if (item) Object.assign(item, { exit_code: data.exit_code, version: item.version + 1 });
  },
  notice: (live, data) =>
    live.items.push({ kind: "note", level: data.level, text: data.text, hint: data.hint, version: 0 }),
  compacted: (live, data) =>
    live.items.push({
      kind: "note",
      level: "info",
      version: 0,
      text: `older tool results were left out of the request (${data.dropped_characters} characters)`,
    }),
  budget: (live, data) =>
    live.items.push({
      kind: "note",
      level: "info",
      version: 0,
      text: `${data.percent} % of the budget: ${data.used} of ${data.limit} ${data.name.replace("_", " ")}`,
    }),
  reset: (live) => Object.assign(live, fresh()),
};

function restart(live) {
  Object.assign(live, { items: [], from: null, active: false, ended: false });
}

function answer(message, turn, calls) {
  const own = message.calls.map((call) => ({
    ...call,
    state: "stopped",
    output: "",
    seconds: null,
    helper: [],
  }));
  for (const call of own) calls.set(call.id, call);
  return {
    kind: "assistant",
    text: message.text,
    thinking: message.thinking,
    calls: own,
    step: message.step,
    turn,
    version: 0,
  };
}

function settle(call, result, step) {
  if (call)
    Object.assign(call, { state: result.ok ? "ok" : "failed", output: result.text, size: result.size, step });
}

function last(live) {
  const item = live.items.at(-1);
  if (item?.kind === "assistant") return item;
  const found = live.items.findLast((each) => each.kind === "assistant");
  if (found) return found;
  live.items.push({ kind: "assistant", text: "", thinking: "", calls: [], version: 0 });
  return live.items.at(-1);
}

function grow(live, name, text) {
  const item = last(live);
  item[name] += text;
  item.version++;
}

function touch(live, id, change) {
  const item = live.items.findLast(
    (each) => each.kind === "assistant" && each.calls.some((call) => call.id === id),
  );
  const call = item?.calls.findLast((each) => each.id === id);
  if (!call) return;
  change(call);
  item.version++;
}

/** What a helper does belongs to the call that made it. */
function helper(live, { type, data }) {
  const item = live.items.findLast(
    (each) => each.kind === "assistant" && each.calls.some((call) => call.state === "running"),
  );
  const call = item?.calls.findLast((each) => each.state === "running");
  if (!call) return;
  if (type === "tool.started") call.helper.push(`${data.name} ${data.arguments.slice(0, 120)}`);
  else if (type === "step.committed") call.helper.push(`committed: ${data.subject}`);
  else return;
  item.version++;
}

function calm(item) {
  if (item.streaming) Object.assign(item, { streaming: false, version: item.version + 1 });
}

function stop(item) {
  calm(item);
  for (const call of item.calls ?? [])
    if (call.state === "running") Object.assign(call, { state: "stopped" }) && item.version++;
}
