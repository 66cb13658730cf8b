// Which tab of the desk belongs to what is shown.

import { state } from "./state.js";

/** Of a session, by default the one that is shown; of a new one, its tab before it has a session. */
export function activeTab(id = state.current) {
  if (id == null) return state.tabs.get(state.pending) ?? null;
  for (const tab of state.tabs.values()) if (tab.status.session === id) return tab;
  return null;
}

/** running, asking, idle, interrupted, failed, damaged: from our own tab if there is one. */
export function condition(session) {
  const own = activeTab(session.id)?.status.state;
  return own && own !== "closed" ? own : session.state;
}

/** What requests about it are sent to. */
export const address = () => state.current ?? `tab-${state.pending}`;

export const busy = (tab = activeTab()) => ["running", "asking"].includes(tab?.status.state);
