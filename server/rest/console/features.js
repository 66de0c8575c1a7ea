// A feature view, drawn: which keys, which fields, and which tensor they become.

import { card, h, number, table } from "./elements.js";

const SHOWN = 36; // fields drawn before the rest is folded away

/** The feature view of a version. */
export function featureView(version) {
  if (!version.features) {
    return card("Features", h("p", { class: "hint" }, "No feature view: this model takes tensors only, it reads no keys."));
  }
  return card("Features", version.features.inputs.map((input) => drawInput(input, version.inputs)));
}

function drawInput(input, specs) {
  const spec = specs.find(({ name }) => name === input.name);
  return h("div", { class: "flow" },
    h("div", { class: "sources" }, input.sources.map(drawSource)),
    h("div", { class: "arrow", "aria-hidden": "true" }, "→"),
    h("div", { class: "tensor" }, h("b", {}, input.name), h("span", {}, spec ? signature(spec) : ""),
      input.lengths && h("span", { class: "hint" }, `lengths in ${input.lengths}`)));
}

function drawSource(source) {
  const kind = source.as ?? "inline";
  return h("div", { class: "source" },
    h("p", { class: "source-head" },
      source.key === undefined ? h("b", {}, "the request") : template(source.key), h("span", { class: "badge" }, kind)),
    detail(kind, source),
    kind === "feast" && h("p", { class: "hint" }, `Feast view ${source.view}, project ${source.project}`),
    source.max_age_seconds && h("p", { class: "hint" }, `refused when ${source.time_field ?? (kind === "feast" ? "what Feast wrote" : "the newest entry")} is over ${number(source.max_age_seconds)} s old`));
}

/** A key template with its placeholders marked. */
export function template(text) {
  const parts = text.split(/(\{\w+\})/).map((part) => (/^\{\w+\}$/.test(part) ? h("mark", {}, part) : part));
  return h("code", { class: "template" }, parts);
}

function detail(kind, source) {
  const absent = source.default === undefined ? "" : `, ${source.default} when absent`;
  if (kind === "stream") return [h("p", {}, `the last ${source.last} entries${padding(source)}${absent}, each of`), fields(source.fields)];
  if (source.fields) return fields(source.fields);
  const shape = `${source.dtype ?? "float32"} ${bracketed(source.shape)}`;
  if (kind === "vector") return h("p", {}, `raw bytes, ${shape}${absent}`);
  return h("p", {}, `the last ${source.last} entries, each ${shape} as ${source.encoding ?? "raw"}${padding(source)}${absent}`);
}

function padding(source) {
  return { left: ", padded on the left", right: ", padded on the right" }[source.pad] ?? ", of any length";
}

function fields(given) {
  const chips = given.map((field) => h("li", { title: hint(field) }, field.name,
    field.default !== undefined && h("small", {}, ` = ${field.default}`),
    field.categories && h("small", {}, ` · ${field.categories.length} categories`),
    field.shape && h("small", {}, ` ${bracketed(field.shape)}`)));
  return [
    h("ul", { class: "fields" }, chips.slice(0, SHOWN)),
    chips.length > SHOWN && h("details", {}, h("summary", {}, `${chips.length - SHOWN} more fields`), h("ul", { class: "fields" }, chips.slice(SHOWN))),
  ];
}

function hint(field) {
  return [
    field.path && `path ${field.path}`,
    field.default !== undefined && `${field.default} when absent`,
    field.categories && `categories: ${field.categories.join(", ")}`,
    field.unknown && `anything else counts as ${field.unknown}`,
  ].filter(Boolean).join("; ");
}

/** Type and shape of a tensor. */
export function signature(spec) {
  return `${spec.dtype} ${bracketed(spec.shape)}`;
}

function bracketed(shape) {
  return `[${shape.join(" × ")}]`;
}

/** Inputs and outputs of the graph. */
export function signatures(version) {
  const row = (role) => (spec) => [role, [h("code", {}, spec.name), spec.name === version.output && h("small", {}, "the answer")], spec.dtype, bracketed(spec.shape)];
  return card("Signature", table(["Role", "Name", "Type", "Shape"],
    [...version.inputs.map(row("input")), ...version.outputs.map(row("output"))], "Signature"));
}
