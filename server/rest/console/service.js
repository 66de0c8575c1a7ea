// The server's own API, asked with the token of this browser tab.

const KEPT = "insitu-token";
const PATIENCE_MS = 60_000;

/** An answer that is an error, with the code and message of its body. */
export class Refused extends Error {
  constructor(status, body) {
    super(body.message);
    this.status = status;
    this.code = body.code;
  }
}

export const token = {
  get: () => sessionStorage.getItem(KEPT) ?? "",
  set: (text) => (text ? sessionStorage.setItem(KEPT, text) : sessionStorage.removeItem(KEPT)),
};

/** Ask, and return the answer's JSON; `body` is sent as JSON. */
export async function ask(method, path, body) {
  const response = await answered(method, path, body);
  if (response.status === 204) return null;
  const data = await response.json().catch(() => ({}));
  if (!response.ok) throw refused(response.status, data);
  return data;
}

/** Ask for text. */
export async function askText(path) {
  const response = await answered("GET", path);
  if (!response.ok) throw refused(response.status, await response.json().catch(() => ({})));
  return response.text();
}

async function answered(method, path, body) {
  const headers = {};
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const sent = body === undefined ? undefined : JSON.stringify(body);
  try {
    return await fetch(path, { method, headers, body: sent, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new Refused(0, { code: "unreachable", message: "The server does not answer; is it running?" });
  }
}

function refused(status, data) {
  return new Refused(status, data.error ?? { code: `http_${status}`, message: `The server answered ${status}.` });
}

/** The path of a model, and of what is below it. */
export function modelPath(name, ...below) {
  return ["v1", "models", name, ...below].map(encodeURIComponent).join("/");
}

/** The command that asks the same from a terminal. */
export function curl(path, body) {
  const url = new URL(path, document.baseURI).href;
  const auth = token.get() ? ' \\\n  -H "Authorization: Bearer $INSITU_TOKEN"' : "";
  return `curl ${quoted(url)}${auth} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}`;
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
