// Requests to the server. Each names this tab; what goes wrong is an Error with a sentence for the user.

let tab = null;

const TRIES = 20;
const WAIT = 3000; // milliseconds

async function ask(path, options = {}) {
  let response;
  for (let left = TRIES; left > 0; left--) {
    try {
      response = await fetch(path, options);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Error("The server does not answer. Is it still running?");
    }
    if (response.status !== 503) break; // else it has too much to do now
    await new Promise((done) => setTimeout(done, WAIT));
  }
  if (response.ok) return response;
  let error = { message: `The server answered ${response.status}.` };
  try {
    error = (await response.json()).error ?? error;
  } catch { /* keep the number */ }
  throw new Error([error.message, error.hint].filter(Boolean).join(" "));
}

function json(body, signal = null) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal };
}

export async function openTab() {
  const facts = await (await ask("/api/tabs", { method: "POST" })).json();
  tab = facts.tab;
  setInterval(() => ask(at("alive"), { method: "POST" }).catch(() => {}), 60_000);
  addEventListener("pagehide", () => navigator.sendBeacon(at("close")));
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  return facts;
}

export const at = (path) => `/api/tabs/${tab}/${path}`;
export const get = async (path) => (await ask(at(path))).json();
export const post = async (path, body, signal) => (await ask(at(path), json(body, signal))).json();
export const postForBlob = async (path, body) => (await ask(at(path), json(body))).blob();
export const getBlob = async (path) => (await ask(at(path))).blob();
export const remove = (path) => ask(at(path), { method: "DELETE" });

export async function upload(path, file) {
  return (await ask(at(path), { method: "POST", body: file })).json();
}

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
