// The server's own API, asked with the token of this browser tab.

import { parseExactly } from "./exact.js";

const KEPT = "insitu-token";
const PATIENCE_MS = 60_000;
let unkept = "";  // the token where this browser keeps nothing

/** An answer that is an error, with the code and message of its body. */
export class Refused extends Error {
  constructor(status, body) {
    super(body.message);
    this.status = status;
    this.code = body.code;
  }
}

export const token = {
  get: () => kept(() => sessionStorage.getItem(KEPT)) ?? unkept,
  set: (text) => {
    unkept = text;
    kept(() => (text ? sessionStorage.setItem(KEPT, text) : sessionStorage.removeItem(KEPT)));
  },
};

function kept(use) {
  try {
    return use();
  } catch {
    return null;  // storage may be switched off
  }
}

/** Ask, and return the answer's JSON; `body` is sent as JSON. The server has `patience` milliseconds. */
export async function ask(method, path, body, patience = PATIENCE_MS) {
  const { ok, status, text } = await answered(method, path, body, patience);
  if (status === 204) return null;
  const data = read(text);
  if (!ok) throw refused(status, data ?? {});
  if (data === null) throw new Refused(status, { code: "no_json", message: "What answers here is not this server: it sends no JSON." });
  return data;
}

/** Ask for text. */
export async function askText(path, patience = PATIENCE_MS) {
  const { ok, status, text } = await answered("GET", path, undefined, patience);
  if (!ok) throw refused(status, read(text) ?? {});
  return text;
}

function read(text) {
  try {
    return parseExactly(text);
  } catch (error) {
    if (error instanceof RangeError) return JSON.parse(text);
    return null;
  }
}

async function answered(method, path, body, patience) {
  const headers = {};
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const sent = body === undefined ? undefined : JSON.stringify(body);
  try {
    const response = await fetch(path, { method, headers, body: sent, cache: "no-store", signal: AbortSignal.timeout(patience) });
    return { ok: response.ok, status: response.status, text: await response.text() };
  } catch (error) {
    const late = error.name === "TimeoutError" ? ` within ${patience / 1000} s` : "";
    throw new Refused(0, { code: "unreachable", message: `The server does not answer${late}; is it running?` });
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
