// The web socket: news of every tab, from the start again after each reconnection.

import { get, key } from "./api.js";
import { feed, fresh } from "./fold.js";
import { weigh } from "./figures.js";
import { changed, state } from "./state.js";

const AGAIN_MS = [300, 700, 1500, 3000, 5000];

let tries = 0;
let boot = null;

export function connect() {
  const socket = new WebSocket(`ws://${location.host}/api/news`, ["mlxk", key()]);
  socket.addEventListener("message", ({ data }) => hear(JSON.parse(data)));
  socket.addEventListener("close", () => lost());
}

function lost() {
  state.connection = "lost";
  changed("connection");
  setTimeout(retry, AGAIN_MS[Math.min(tries++, AGAIN_MS.length - 1)]);
}

/** A closed socket does not say why; an ordinary request does. */
async function retry() {
  try {
    await get("hello");
  } catch (error) {
    if (error.info?.type === "unreachable") return lost();
    state.connection = "refused";
    return changed("connection");
  }
  connect();
}

const HEARD = {
  hello(message) {
    tries = 0;
    state.connection = "connected";
    if (boot !== null) changed("reload");
    boot = message.boot;
    state.tabs.clear();
    changed("connection", "tabs");
  },
  status({ status }) {
    const known = state.tabs.get(status.tab);
    if (known) known.status = status;
    else state.tabs.set(status.tab, { status, live: fresh() });
    changed("tabs");
  },
  news({ tab, news }) {
    const known = state.tabs.get(tab);
    if (!known) return;
    const before = known.live.ended;
    weigh(
      tab,
      news.filter((each) => each.session === known.status.session),
    );
    for (const each of news) feed(known.live, each, known.status.session);
    changed("live");
    if (known.live.ended && !before) changed("ended");
    if (news.some((each) => each.type === "step.committed")) changed("stepped");
  },
  gone({ tab }) {
    state.tabs.delete(tab);
    changed("tabs");
  },
  sessions: () => changed("stale"),
  figures({ figures }) {
    state.figures = figures;
    changed("figures");
  },
};

function hear(message) {
  HEARD[message.kind]?.(message);
}
