// The page of scoring jobs: how far each is, how fast, what came of its rows, and a way to cancel it.

import { percent } from "./charts.js";
import { permitted, question, tell } from "./dialogs.js";
import { card, duration, faultAbove, h, heading, moment, more, number, redraw, s } from "./elements.js";
import { again } from "./pace.js";
import { ask } from "./service.js";

const PAGE = 50;
const MOST = 1000;  // in one answer
const READ_MS = 2000;
const LABELS = 6;  // shown by name
const RATE_MS = 10_000;  // a rate is taken over so long
const KINDS = { output: "standard output" };  // where answers go that have no key and no path
const STATES = { running: "badge good", done: "badge", failed: "badge bad", cancelled: "badge warn" };

/** Draw the page into `main`; returns what to do when the reader leaves. */
export async function jobsPage(main) {
  const list = h("div", {});
  const seen = new Map();  // job -> readings, for its rate
  main.replaceChildren(heading("Jobs of this server"), card("Scoring jobs", list));
  await refresh(list, seen, PAGE);
  return { reading: () => {}, leave: again(() => refresh(list, seen, Number(list.dataset.count)), READ_MS) };
}

async function refresh(list, seen, count) {
  list.dataset.count = count;
  try {
    const { jobs, next, may_change: mayChange } = await ask("GET", `v1/jobs?limit=${count}`);
    if (list.dataset.count !== String(count)) return;  // a larger one was asked for meanwhile
    for (const job of jobs) job.now = rate(seen, job);
    const open = new Set([...list.querySelectorAll("details[open]")].map((one) => one.dataset.job));
    const changed = (shown = count) => refresh(list, seen, shown);
    redraw(list, jobs.length ? h("ul", { class: "jobs" }, jobs.map((job) => drawJob(job, mayChange, open, changed))) : empty(),
      next && more(`The newest ${count} jobs are shown.`, "GET /v1/jobs?after=… lists the rest.", count, MOST, PAGE, changed));
  } catch (error) {
    if (!list.hasChildNodes()) throw error;
    faultAbove(list, error);
  }
}

// Rows a second over the last readings; what the server says, which is since the job began, until there are two.
function rate(seen, job) {
  const [at, rows] = [performance.now(), looked(job)];
  const readings = (seen.get(job.job) ?? []).filter((one) => at - one.at < RATE_MS && one.began === job.began);
  readings.push({ at, rows, began: job.began });
  seen.set(job.job, readings);
  const [first] = readings;
  return at > first.at ? Math.max(0, rows - first.rows) / ((at - first.at) / 1000) : job.rate;
}

function looked(job) {
  return job.scored + job.passed + skipped(job);
}

function skipped(job) {
  return Object.values(job.skipped).reduce((total, count) => total + count, 0);
}

function drawJob(job, mayChange, open, changed) {
  const running = job.state === "running";
  return h("li", { class: "job" },
    h("div", { class: "job-head" },
      h("h3", {}, job.job), h("span", { class: running && !job.working ? "badge warn" : STATES[job.state] }, running && !job.working ? "waiting" : job.state),
      h("a", { class: "hint", href: `#/models/${encodeURIComponent(job.model)}`, "data-held": `${job.job} model` }, `${job.model} v${job.version}`),
      h("span", { class: "hint" }, moment(job.began)),
      running && mayChange && h("button", { type: "button", class: "quiet small", "data-held": `${job.job} cancel`, "aria-label": `Cancel ${job.job}`, onclick: () => cancel(job, changed) }, "Cancel")),
    running && progress(job.share),
    h("p", { class: "live" }, drawFacts(job, running)),
    job.reason && h("div", { class: "fault" }, job.reason),
    drawSkipped(job, open),
    job.numbers > 0 && h("div", { class: "job-spread" }, spread(job), labels(job)));
}

function progress(share) {
  const fill = h("span", { class: "bar-fill" });
  fill.style.width = `${share * 100}%`;
  return h("div", { class: "bar", role: "progressbar", "aria-label": "Rows that were found", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(share * 100) }, fill);
}

function drawFacts(job, running) {
  const fact = (value, words) => h("span", {}, h("b", {}, value), ` ${words}`);
  return [
    running && fact(`${Math.floor(job.share * 100)} %`, "done"),
    fact(number(job.scored), job.scored === 1 ? "row scored" : "rows scored"),
    job.passed > 0 && fact(number(job.passed), "passed over"),
    job.other_keys > 0 && fact(number(job.other_keys), "other keys"),
    fact(number(Math.round(running ? job.now : job.rate)), "rows a second"),
    running && job.eta_seconds !== null && job.now > 0 && h("span", {}, "about ", h("b", {}, span(looked(job) * (1 - job.share) / job.share / job.now)), " to go"),
    !running && h("span", {}, "in ", h("b", {}, span(job.seconds))),
    h("span", {}, "into ", h("b", {}, targets(job.spec.to))),
  ].filter(Boolean);
}

function span(seconds) {
  return seconds < 60 ? duration(seconds) : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

function targets(to) {
  return to.map((one) => (one.kind === "field" ? `field ${one.field}` : one.key ?? one.path ?? KINDS[one.kind] ?? one.kind)).join(", ");
}

function drawSkipped(job, open) {
  if (!skipped(job)) return null;
  const title = `${number(skipped(job))} ${skipped(job) === 1 ? "row" : "rows"} could not be scored`;
  return h("details", { "data-job": job.job, open: open.has(job.job) }, h("summary", { class: "bad", "data-held": `${job.job} skipped` }, title),
    h("ul", { class: "job-errors" }, Object.entries(job.skipped).sort((a, b) => b[1] - a[1]).map(([code, count]) =>
      h("li", {}, h("b", {}, number(count)), " ", h("code", {}, code), h("small", {}, job.examples[code] ?? "")))));
}

// How the numbers are spread, as small bars.
function spread(job) {
  const [width, height] = [240, 44];
  const most = Math.max(...job.histogram.map(([, , count]) => count), 1);
  const step = width / job.histogram.length;
  const bar = ([begin, end, count], at) => s("rect", { x: at * step, width: Math.max(0.5, step - 1), y: height - (count / most) * height, height: (count / most) * height },
    s("title", {}, `${number(begin)} to ${number(end)}: ${number(count)}`));
  return h("figure", { class: "spread" }, job.spec.label && h("small", {}, `Probability of ${job.spec.label}`),
    s("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": "How the numbers are spread" }, job.histogram.map(bar)),
    h("figcaption", {}, h("span", {}, number(job.lowest, 3)), h("span", {}, `mean ${number(job.mean, 3)}`), h("span", {}, number(job.highest, 3))));
}

function labels(job) {
  const pairs = Object.entries(job.labels).sort((a, b) => b[1] - a[1]);
  if (!pairs.length) return null;
  return h("span", { class: "chips" }, pairs.slice(0, LABELS).map(([label, count]) =>
    h("span", { class: "chip" }, label, h("b", {}, percent(count / job.scored)))), pairs.length > LABELS && h("span", { class: "hint" }, `and ${pairs.length - LABELS} more`));
}

async function cancel(job, changed) {
  const values = await question(`Cancel ${job.job}?`, h("p", {}, "What it has written stays. Starting the same job again begins it anew."), "Cancel the job", true, "Keep it");
  if (values === null) return;
  try {
    await permitted(() => ask("DELETE", `v1/jobs/${encodeURIComponent(job.job)}`));
    await changed();
  } catch (error) {
    await tell(error);
  }
}

function empty() {
  return h("div", { class: "empty" },
    h("p", {}, "No scoring job is kept; one that has ended is kept for seven days."),
    h("p", {}, "Start one with ", h("code", {}, "POST /v1/models/NAME/jobs"), " or ", h("code", {}, "insitu score NAME")));
}
