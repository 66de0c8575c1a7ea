// The form that asks for predictions, their drawing, and the command that repeats them.

import { bars } from "./charts.js";
import { explaining } from "./explaining.js";
import { card, copying, duration, fault, h, number, tabs } from "./elements.js";
import { parseExactly } from "./exact.js";
import { template } from "./features.js";
import { permitted } from "./dialogs.js";
import { ask, curl, modelPath } from "./service.js";

const typed = new Map();  // what was typed for a model, by the way it is given in: it is asked of one version after the other
const WAYS = { keys: "By key", instances: "By instance", inputs: "By tensor" };

/** The form for a model; `versions` are what the reader may choose from. */
export function predicting(name, version, versions) {
  const mine = typed.get(name) ?? {};
  const state = { way: ways(version).includes(mine.way) ? mine.way : firstWay(version) };
  const texts = { ...Object.fromEntries(Object.keys(WAYS).map((way) => [way, skeleton(way, version)])), ...mine.texts };
  const answer = h("div", { class: "answer", "aria-live": "polite" });
  const text = h("textarea", { id: "rows", spellcheck: "false", autocomplete: "off", rows: "3" });
  const hint = h("p", { class: "hint" });
  const which = h("select", { name: "version" }, versions.map(([value, label]) => h("option", { value }, label)));
  const missing = h("input", { name: "missing", placeholder: "refuse the row", size: "12", autocomplete: "off" });
  const raw = h("input", { type: "checkbox", name: "raw" });
  const panel = h("div", { class: "panel", role: "tabpanel", id: "way" }, text, hint);
  const choose = (way) => {
    texts[state.way] = state.drawn ? text.value : texts[state.way];
    Object.assign(state, { way, drawn: true });
    text.value = texts[way];
    text.placeholder = way === "keys" ? version.keys[0] ?? "" : "";
    text.setAttribute("aria-label", WAYS[way]);
    hint.replaceChildren(...hints(way, version));
  };
  const chosen = tabs("How rows are given", Object.fromEntries(ways(version).map((way) => [way, WAYS[way]])), panel, choose);
  const form = h("form", { class: "predict", onsubmit: (event) => {
    event.preventDefault();
    submit(name, which.value, state.way, { text: text.value, missing: missing.value, raw: raw.checked }, answer);
  } }, chosen.bar, panel,
    h("div", { class: "options" },
      h("label", {}, "Version", which), h("label", {}, "When a value is missing", missing),
      h("label", { class: "check" }, raw, "Raw outputs"), h("button", { class: "primary" }, "Predict")));
  text.addEventListener("input", () => {
    const { [state.way]: _, ...others } = typed.get(name)?.texts ?? {};
    typed.set(name, { way: state.way, texts: text.value ? { ...others, [state.way]: text.value } : others });
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  chosen.select(state.way);
  return card("Predict", form, answer);
}

function ways(version) {
  if (!version.features) return ["inputs"];
  return version.keys.length ? ["keys", "instances", "inputs"] : ["instances", "inputs"];
}

function firstWay(version) {
  const first = placeholders(version.keys[0] ?? "");
  const rest = version.keys.flatMap(placeholders).some((name) => !first.includes(name));
  return ways(version)[0] === "keys" && (rest || inline(version).some((field) => field.default === undefined)) ? "instances" : ways(version)[0];
}

function placeholders(key) {
  return [...key.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
}

function inline(version) {
  return (version.features?.inputs ?? []).flatMap(({ sources }) => sources.filter((source) => source.inline).flatMap(({ fields }) => fields));
}

function skeleton(way, version) {
  if (way === "keys") return "";
  if (way === "inputs") {
    return JSON.stringify(Object.fromEntries(version.inputs.map((spec) => [spec.name, zeros(spec.shape.map((dim, axis) => (typeof dim === "number" ? Math.min(dim, 64) : axis ? 2 : 1)), spec.dtype)])));
  }
  const names = [...new Set(version.keys.flatMap(placeholders))].map((name) => [name, ""]);
  const values = inline(version).map((field) => [field.name, field.default ?? (field.categories ? field.categories[0] : field.shape ? zeros(field.shape) : 0)]);
  return JSON.stringify([Object.fromEntries([...names, ...values])]);
}

/** Whether the keys are names of entities: Feast's own are bytes. */
function ofFeast(version) {
  const sources = version.features.inputs.flatMap(({ sources }) => sources);
  return sources.find(({ key }) => key === version.keys[0])?.as === "feast";
}

function zeros(shape, dtype) {
  const zero = { string: "", bool: false }[dtype] ?? 0;
  return shape.reduceRight((inner, dim) => Array.from({ length: dim }, () => inner), zero);
}

function hints(way, version) {
  if (way === "keys") return [ofFeast(version) ? "One entity of Feast a line, by its name: " : "One key a line, as it lies in Redis: ", template(version.keys[0])];
  if (way === "instances") return ["A JSON list: placeholder and inline values, one object a row."];
  return ["JSON: nested lists by the name of the input; the first axis counts the rows."];
}

function bodyOf(way, { text, missing, raw }) {
  const body = {};
  if (way === "keys") body.keys = text.split("\n").map((line) => line.trim()).filter(Boolean);
  else body[way] = parsed(text, way);
  if (missing.trim()) body.missing = parsed(missing, "missing");
  if (raw) body.raw = true;
  return body;
}

function parsed(text, name) {
  try {
    return parseExactly(text);
  } catch (error) {
    if (error instanceof RangeError) throw Object.assign(error, { code: "number_too_large" });
    throw Object.assign(new Error(`${name} is no JSON: ${error.message}`), { code: "malformed_json" });
  }
}

async function submit(name, reference, way, given, answer) {
  const turn = answer.dataset.turn = String(Number(answer.dataset.turn ?? 0) + 1);
  answer.classList.add("waiting");
  try {
    const body = bodyOf(way, given);
    const below = reference ? ["versions", reference] : [];
    const path = modelPath(name, ...below, "predict");
    const why = (row, at) => explainable(row) && explaining(modelPath(name, ...below, "explain"), alone(body, at), labelsOf(row));
    const command = curl(path, body);
    const started = performance.now();
    const outcome = await permitted(() => ask("POST", path, body)).catch((error) => error);
    const seconds = (performance.now() - started) / 1000;
    if (answer.dataset.turn !== turn) return;  // something else was asked meanwhile
    answer.replaceChildren(...(outcome instanceof Error ? [fault(outcome)] : drawAnswer(outcome, seconds, why)), repeat(command));
  } catch (error) {
    answer.replaceChildren(fault(error));
  }
  answer.classList.remove("waiting");
}

function drawAnswer(data, seconds, why) {
  return [
    h("p", { class: "hint" }, `${data.model} v${data.version} · ${data.predictions.length === 1 ? "1 row" : `${data.predictions.length} rows`} · ${duration(seconds)} from here and back`),
    h("ol", { class: "rows" }, data.predictions.slice(0, 200).map((row, at) => drawRow(row, why(row, at)))),
    data.predictions.length > 200 && h("p", { class: "hint" }, "The first 200 rows are shown."),
  ].filter(Boolean);
}

function drawRow(row, why) {
  return h("li", {},
    row.key !== undefined && h("p", { class: "row-key" }, h("code", {}, row.key)),
    row.error && fault(row.error),
    row.label !== undefined && h("p", { class: "verdict" }, row.label),
    row.labels && h("p", { class: "verdict" }, row.labels.join(", ") || "none of the labels"),
    row.value !== undefined && h("p", { class: "verdict" }, Array.isArray(row.value) ? row.value.map((one) => number(one, 6)).join(", ") : number(row.value, 6)),
    row.anomaly_score !== undefined && h("p", { class: "verdict" }, `${number(row.anomaly_score, 6)}${row.anomaly ? " · an anomaly" : ""}`),
    ["values", "quantiles", "forecast"].filter((what) => row[what]).map((what) => h("pre", {}, `${what} ${JSON.stringify(row[what], null, 1)}`)),
    row.probabilities && bars(row.probabilities, row.labels ?? [row.label]),
    row.outputs && h("pre", {}, JSON.stringify(row.outputs, null, 1)),
    row.filled && h("p", { class: "hint" }, "Filled in, because absent: ", row.filled.map((name) => [h("code", {}, name), " "])),
    why);
}

// A number can be explained: a label's probability, a value alone, or an anomaly score.
function explainable(row) {
  return !row.error && (row.probabilities !== undefined || typeof (row.value ?? row.anomaly_score) === "number");
}

// The predicted label, which need not be the likeliest where a mistake has its cost, and then the others by probability.
function labelsOf(row) {
  const others = Object.entries(row.probabilities ?? {}).filter(([label]) => label !== row.label).sort((a, b) => b[1] - a[1]);
  return [...(row.label === undefined ? [] : [row.label]), ...others.map(([label]) => label)];
}

// The request for one of its rows.
function alone({ raw, ...body }, at) {
  if (body.keys) return { ...body, keys: [body.keys[at]] };
  if (body.instances) return { ...body, instances: [body.instances[at]] };
  return { ...body, inputs: Object.fromEntries(Object.entries(body.inputs).map(([name, rows]) => [name, [rows[at]]])) };
}

function repeat(command) {
  return h("div", { class: "repeat" }, h("p", { class: "hint" }, "The same from a terminal", copying(command)), h("pre", {}, command));
}
