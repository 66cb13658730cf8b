// What the page knows, and who wants to hear when it changes.

export const state = {
  repository: null,
  sessions: [], // newest first, as the server lists them
  trash: [],
  current: null, // the session that is shown: an id; null is the new one
  pending: null, // the tab of a new session that has no id yet
  readAfter: null, // the tab whose end the conversation was read after
  follow: false, // scroll to the end when the conversation is drawn next
  view: "chat",
  conversation: null, // of the current session: {session, messages, steps}
  tabs: new Map(), // number -> {status, live}
  figures: null,
  connection: "connecting", // connected, lost, refused
  draft: null, // what a new session starts with: {model, permissions, check, ...}
};

const listeners = new Map();

export function on(topics, listener) {
  for (const topic of topics.split(" ")) {
    if (!listeners.has(topic)) listeners.set(topic, new Set());
    listeners.get(topic).add(listener);
  }
}

const waiting = new Set();

/** Tell everybody who listens, once a frame however often it is said. */
export function changed(...topics) {
  if (!waiting.size) setTimeout(flush, document.hidden ? 200 : 16);
  for (const topic of topics) waiting.add(topic);
}

function flush() {
  const called = new Set();
  const topics = [...waiting];
  waiting.clear();
  for (const topic of topics)
    for (const listener of listeners.get(topic) ?? [])
      if (!called.has(listener)) {
        called.add(listener);
        listener();
      }
}

export const session = (id = state.current) => state.sessions.find((each) => each.id === id) ?? null;
