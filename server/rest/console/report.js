// Metrics and the model card, whatever a trainer put into it.

import { confusion, curves, sizes } from "./charts.js";
import { bytes, card, facts, h, moment, number, provider } from "./elements.js";
import { modelPath, token } from "./service.js";

const DEPTH = 6;
const SHOWN = 12;  // entries of a list before the rest is folded away
const FIRST = ["verdict", "findings", "diagnosis", "attributions", "confusion"];  // what a reader asks first
const TITLES = { confusion: "Confusion matrix", attributions: "What it looks at", intervals: "What chance alone moves" };
// Metrics whose names are no words.
const METRICS = { ece: "Calibration error", mae: "MAE", mase: "MASE", naive_mae: "Naive MAE", pr_auc: "PR AUC", r2: "R²", rmse: "RMSE", roc_auc: "ROC AUC" };
const BASELINE = "baseline_";

/** How good a version is, in numbers, beside the baseline's where there is one. */
export function metrics(version) {
  const values = version.metrics;
  const own = Object.keys(values).filter((name) => !name.startsWith(BASELINE) || !(name.slice(BASELINE.length) in values));
  if (!own.length) return null;
  return card("Metrics", h("ul", { class: "numbers" }, own.map((name) =>
    h("li", {}, h("strong", {}, number(values[name], 4)), h("span", {}, words(name)),
      BASELINE + name in values && h("small", {}, `baseline ${number(values[BASELINE + name], 4)}`)))));
}

/** The model card: what a reader asks first, drawn; the rest folded. */
export function modelCard(version) {
  const { labels } = version;
  const entries = Object.entries(version.card).filter(([, value]) => !isEmpty(value));
  if (!entries.length) return null;
  const place = ([name]) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  const open = ([name, value]) => FIRST.includes(name) || typeof value !== "object" || asSeries(value) || isMatrix(value, labels) || Array.isArray(value);
  const drawn = entries.filter(open).sort((a, b) => place(a) - place(b));
  const nested = entries.filter((entry) => !open(entry));
  const curve = nested.flatMap(([, value]) => Object.values(value)).find((value) => value && typeof value === "object" && asSeries(value));
  // A browser cannot send a token with a link.
  const link = !token.get() && h("p", { class: "open" }, h("a", { href: modelPath(version.name, "versions", String(version.version), "card"), target: "_blank", rel: "noopener" }, "Open the card"));
  return card("Model card", link, h("div", { class: "report" },
    drawn.map(([name, value]) => part(name, value, labels, 0)),
    curve && block("learning_curve", curves(asSeries(curve), "Learning curve")),
    nested.map(([name, value]) => h("details", {}, h("summary", {}, words(name)),
      h("div", { class: "nested" }, Object.entries(value).filter(([, one]) => one !== curve).map(([key, one]) => part(key, one, labels, 1)))))));
}

/** Where a version comes from and where it runs. */
export function origin(version) {
  return card("Version", facts([
    ["Version", `v${version.version}`],
    ["Created", moment(version.created)],
    ["Task", version.task],
    ["Threshold", threshold(version)],
    ["Runs on", provider(version.provider) ?? "not loaded in this process"],
    ["Memory", version.memory_bytes === null ? null : `about ${bytes(version.memory_bytes)}`],
    ["Size", bytes(version.size_bytes)],
    ["SHA-256", h("code", { class: "break" }, version.digest)],
    ["Operators", Object.entries(version.opset).map(([domain, number]) => `${domain || "ai.onnx"} ${number}`).join(", ")],
    ["Made by", version.producer],
    ["Signed by", signer(version.signature)],
    ["Problem", version.problem],
  ]));
}

/** Whose signature it has, and whether this server trusts it. */
function signer(signature) {
  if (!signature) return null;
  const known = { true: "trusted", false: "not trusted", null: "this server asks for no signatures" };
  return h("span", {}, h("code", {}, signature.key ?? "unreadable"), ` (${known[signature.trusted]})`);
}

/** From which probability on a label is said, where that is not for the likeliest to decide. */
function threshold({ threshold: least, labels, task }) {
  if (least === undefined || least === null) return null;
  return `${task === "multilabel" ? "each label" : labels[1]} from ${number(least)} on`;
}

function part(name, value, labels, depth) {
  if (isEmpty(value) || depth > DEPTH) return null;
  if (name === "signs") return null;  // the findings beside them say the same, in sentences
  if (name === "verdict") return h("p", { class: "line" }, h("span", {}, "Verdict"), h("b", { class: value === "good" ? "badge good" : "badge warn" }, String(value)));
  if (name === "attributions" && value.features) return looksAt(value);
  if (name === "intervals") return block(name, ranges(value));
  const series = asSeries(value);
  if (series) return block(name, curves(series, words(name)));
  if (isMatrix(value, labels)) return block(name, confusion(value, labels));
  if (Array.isArray(value)) return block(name, listed(value, labels, depth));
  if (typeof value === "object") return block(name, h("div", { class: "nested" }, Object.entries(value).map(([key, one]) => part(key, one, labels, depth + 1))));
  return h("p", { class: "line" }, h("span", {}, words(name)), h("b", {}, typeof value === "number" ? number(value) : String(value)));
}

/** Scores and between which two numbers each lies, with 95 % confidence. */
function ranges(value) {
  return Object.entries(value).map(([name, [low, high]]) =>
    h("p", { class: "line interval" }, h("span", {}, words(name)), h("b", {}, `${number(low, 4)} to ${number(high, 4)}`)));
}

function looksAt(value) {
  const from = `Mean size of what each feature adds to ${value.of ?? "the answers"} on ${number(value.rows)} held-out rows, compared with the ${value.compared_with}.`;
  return block("attributions", [sizes(value.features, 8), h("p", { class: "hint" }, from)]);
}

function isEmpty(value) {
  return value === null || value === undefined || value === "" || (typeof value === "object" && !Object.keys(value).length);
}

function block(name, content) {
  return h("div", { class: "block" }, h("h3", {}, TITLES[name] ?? words(name)), content);
}

function listed(values, labels, depth) {
  if (values.every((value) => typeof value !== "object")) {
    if (values.length <= SHOWN && values.some((value) => String(value).length > 24)) return h("ul", {}, values.map((value) => h("li", {}, String(value))));
    const text = (some) => h("p", { class: "hint break" }, some.map((value) => (typeof value === "number" ? number(value) : String(value))).join(", "));
    return [text(values.slice(0, SHOWN)), values.length > SHOWN && h("details", {}, h("summary", {}, `${values.length - SHOWN} more`), text(values.slice(SHOWN)))];
  }
  return h("div", { class: "nested" }, values.slice(0, 64).map((value, at) => part(String(at + 1), value, labels, depth + 1)));
}

// Numbers over epochs: {name: [...]}, [{name: number}, ...], or the trainer's rows of epoch, losses
// and score; null when it is none of them.
function asSeries(value) {
  const columns = Array.isArray(value) ? transposed(value) ?? trained(value) : value;
  if (!columns || typeof columns !== "object") return null;
  const lines = Object.entries(columns).filter(([, values]) => isLine(values));
  const losses = lines.filter(([name]) => name.includes("loss"));
  const longest = Math.max(0, ...lines.map(([, values]) => values.length));
  if (longest < 2 || lines.length !== Object.values(columns).length) return null;
  return Object.fromEntries(losses.length ? losses : lines);
}

function transposed(rows) {
  if (rows.length < 2 || !rows.every((row) => row && typeof row === "object" && !Array.isArray(row))) return null;
  const names = Object.keys(rows[0]).filter((name) => name !== "epoch" && rows.some((row) => typeof row[name] === "number"));
  return names.length ? Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name])])) : null;
}

function trained(rows) {
  const fits = rows.length > 1 && rows.every((row, at) => Array.isArray(row) && row.length === 4 && row[0] > at);
  return fits ? { "training loss": rows.map((row) => row[1]), "validation loss": rows.map((row) => row[2]) } : null;
}

function isLine(values) {
  return Array.isArray(values) && values.length > 1 && values.every((value) => typeof value === "number" || value === null);
}

function isMatrix(value, labels) {
  return Array.isArray(value) && labels.length > 1 && value.length === labels.length
    && value.every((row) => Array.isArray(row) && row.length === labels.length && row.every(Number.isInteger));
}

function words(name) {
  if (METRICS[name]) return METRICS[name];
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
