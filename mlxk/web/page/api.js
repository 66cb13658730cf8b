// Requests to the desk. A refusal is a Refused with the server's words and hint.

export class Refused extends Error {
  constructor(info) {
    super(info.message);
    this.info = info;
  }
}

/** Only pages of this port know it. */
export const key = () => localStorage.getItem("mlxk") ?? "";

export const get = (path) => ask(path, { method: "GET" });

export const post = (path, body = {}) =>
  ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

/** Something long, as text. */
export async function text(path) {
  return (await sent(path, { method: "GET" })).text();
}

async function ask(path, options) {
  return (await sent(path, options)).json();
}

async function sent(path, options) {
  let response;
  try {
    const headers = { ...options.headers, "X-Mlxk": key() };
    response = await fetch(`/api/${path}`, { ...options, headers });
  } catch {
    throw new Refused({
      type: "unreachable",
      message: "mlxk does not answer",
      hint: "is `mlxk agent --web` still running?",
    });
  }
  if (response.ok) return response;
  const body = await response
    .json()
    .catch(() => ({ error: { type: "error", message: response.statusText } }));
  throw new Refused(body.error);
}
