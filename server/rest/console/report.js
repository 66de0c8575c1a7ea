// Metrics and the model card, whatever a trainer put into it.

import { confusion, curves } from "./charts.js";
import { bytes, card, facts, h, moment, number, provider } from "./elements.js";

const DEPTH = 6;

/** How good a version is, in numbers. */
export function metrics(version) {
  const values = Object.entries(version.metrics);
  if (!values.length) return null;
  return card("Metrics", h("ul", { class: "numbers" }, values.map(([name, value]) =>
    h("li", {}, h("strong", {}, number(value, 4)), h("span", {}, words(name))))));
}

/** The model card. */
export function modelCard(version) {
  const entries = Object.entries(version.card);
  return entries.length ? card("Model card", h("div", { class: "report" }, entries.map(([name, value]) => part(name, value, version.labels, 0)))) : null;
}

/** Where a version comes from and where it runs. */
export function origin(version) {
  return card("Version", facts([
    ["Version", `v${version.version}`],
    ["Created", moment(version.created)],
    ["Task", version.task],
    ["Runs on", provider(version.provider) ?? "not loaded in this process"],
    ["Memory", version.memory_bytes === null ? null : `about ${bytes(version.memory_bytes)}`],
    ["Size", bytes(version.size_bytes)],
    ["SHA-256", h("code", { class: "break" }, version.digest)],
    ["Operators", Object.entries(version.opset).map(([domain, number]) => `${domain || "ai.onnx"} ${number}`).join(", ")],
    ["Made by", version.producer],
    ["Problem", version.problem],
  ]));
}

function part(name, value, labels, depth) {
  if (value === null || value === undefined || value === "" || depth > DEPTH) return null;
  const series = asSeries(value);
  if (series) return block(name, curves(series, words(name)));
  if (isMatrix(value, labels)) return block(name, confusion(value, labels));
  if (Array.isArray(value)) return block(name, listed(value, labels, depth));
  if (typeof value === "object") return block(name, h("div", { class: "nested" }, Object.entries(value).map(([key, one]) => part(key, one, labels, depth + 1))));
  return h("p", { class: "line" }, h("span", {}, words(name)), h("b", {}, typeof value === "number" ? number(value) : String(value)));
}

function block(name, content) {
  return h("div", { class: "block" }, h("h3", {}, words(name)), content);
}

function listed(values, labels, depth) {
  if (values.every((value) => typeof value !== "object")) {
    return values.every((value) => typeof value === "number")
      ? h("p", {}, values.slice(0, 64).map((value) => number(value)).join(", ") + (values.length > 64 ? ", …" : ""))
      : h("ul", {}, values.slice(0, 64).map((value) => h("li", {}, String(value))));
  }
  return h("div", { class: "nested" }, values.slice(0, 64).map((value, at) => part(String(at + 1), value, labels, depth + 1)));
}

// Numbers over epochs, as {name: [...]} or as [{name: number}, ...]; null when it is neither.
function asSeries(value) {
  const columns = Array.isArray(value) ? transposed(value) : value;
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

function isLine(values) {
  return Array.isArray(values) && values.length > 1 && values.every((value) => typeof value === "number" || value === null);
}

function isMatrix(value, labels) {
  return Array.isArray(value) && labels.length > 1 && value.length === labels.length
    && value.every((row) => Array.isArray(row) && row.length === labels.length && row.every(Number.isInteger));
}

function words(name) {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
