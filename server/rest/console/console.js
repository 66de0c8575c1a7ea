// The console: which page is shown, the state in the header, and the clock that reads /metrics.

import { askToken } from "./dialogs.js";
import { fault, h, redraw } from "./elements.js";
import { jobsPage } from "./jobs.js";
import { modelPage } from "./model.js";
import { overview } from "./overview.js";
import { again } from "./pace.js";
import { ask, askText, token } from "./service.js";
import { parse, Telemetry } from "./telemetry.js";

const READ_MS = 2000;
const PATIENCE_MS = 10_000;  // for the header; who waits longer is not ready
const QUIET_MS = 400;  // a page that comes sooner is not announced
const main = document.getElementById("main");
const telemetry = new Telemetry();
const recent = [];  // the last readings, so that the page of a model begins with rates
const RECENT = 16;
const NONE = { reading: () => {}, leave: () => {}, failed: null };
let page = NONE;
let visit = 0;
let address = location.hash;

/** What the address asks for; one that was cut or mistyped asks for nothing. */
function asked() {
  try {
    return location.hash.slice(1).split("/").map(decodeURIComponent);
  } catch {
    return [];
  }
}

async function show(moved = false) {
  const mine = (visit += 1);
  page.leave();
  page = NONE;
  const [, kind, name, reference] = asked();
  document.title = kind === "jobs" ? "Jobs · Insitu" : kind === "models" && name ? `${name} · Insitu` : "Insitu";
  const place = h("div", { class: "page" });
  const waiting = setTimeout(() => {
    if (moved || !main.hasChildNodes()) main.replaceChildren(h("p", { class: "notice", role: "status" }, "Waiting for the server …"));
  }, QUIET_MS);
  try {
    const drawn = kind === "jobs" ? await jobsPage(place)
      : kind === "models" && name ? await modelPage(place, name, reference, recent) : await overview(place, telemetry);
    if (mine !== visit) return drawn.leave();  // the reader has gone on meanwhile
    page = drawn;
  } catch (error) {
    if (mine !== visit) return;
    page = { ...NONE, failed: error };
    place.replaceChildren(fault(error), retry(error));
  } finally {
    clearTimeout(waiting);
  }
  if (!page.failed || main.textContent !== place.textContent) redraw(main, place);  // an error is not said twice
}

// Another page begins at its top, and there goes on who reads it by keyboard: the link that led to it is gone.
async function go() {
  const moved = location.hash !== address;
  address = location.hash;
  await show(moved);
  if (!moved) return;
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

function retry(error) {
  const locked = error.status === 401 || error.status === 403;
  const act = async () => { if (!locked || await askToken(error)) show(); };
  return h("p", {}, h("button", { type: "button", class: "primary", onclick: act }, locked ? "Give a token" : "Try again"));
}

async function read() {
  await Promise.all([readMetrics(), showState()]);
}

async function readMetrics() {
  try {
    const samples = parse(await askText("metrics", PATIENCE_MS));
    telemetry.add(samples);
    recent.push({ samples, at: performance.now() });
    if (recent.length > RECENT) recent.shift();
    page.reading(samples);
  } catch { /* the header says it */ }
}

async function showState() {
  try {
    const health = await ask("GET", "health/ready", undefined, PATIENCE_MS);
    state("server-state", "good", "Server ready");
    const [kind, text] = redisState(health);
    state("redis-state", kind, text, health.reason);
    if (health.redis && page.failed && (page.failed.status === 0 || page.failed.status >= 500)) show();
  } catch (error) {
    const away = error.status === 0;
    state("server-state", "bad", away ? "Server away" : "Server starting", error.message);
    state("redis-state", "unknown", "Redis unknown");
  }
  document.getElementById("token-button").textContent = token.get() ? "Token ✓" : "Token";
}

/** Redis may answer and yet have a reason: some nodes of its cluster are away. */
function redisState({ redis, reason }) {
  if (!redis) return ["bad", "Redis away"];
  return reason ? ["part", "Redis in part"] : ["good", "Redis up"];
}

function state(id, kind, text, title = "") {
  const pill = document.getElementById(id);
  pill.className = `pill ${kind}`;
  pill.title = title;
  if (pill.lastElementChild.textContent !== text) pill.lastElementChild.textContent = text;
}

function theme(choice) {
  if (choice) document.documentElement.dataset.theme = choice;
  try {
    if (choice) localStorage.setItem("insitu-theme", choice);
    return localStorage.getItem("insitu-theme");
  } catch {
    return null;  // storage may be switched off
  }
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

theme(theme());
document.getElementById("theme-button").addEventListener("click", () => theme(isDark() ? "light" : "dark"));
document.getElementById("token-button").addEventListener("click", async () => { if (await askToken()) show(); });
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();  // its #main is no page
  main.focus();
});
addEventListener("hashchange", go);
await show();
await read();
again(read, READ_MS);
