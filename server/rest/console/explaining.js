// Why a row is predicted as it is: what each feature adds, asked for when somebody wants to know.

import { percent, signed } from "./charts.js";
import { permitted } from "./dialogs.js";
import { copying, fault, h, number } from "./elements.js";
import { ask, curl } from "./service.js";

/** A button that explains one row; `body` says the row, `labels` are what may be explained, the predicted one first. */
export function explaining(path, body, labels) {
  const place = h("div", { class: "why", "aria-live": "polite" });
  const show = async (label) => {
    place.classList.add("waiting");
    const wish = label === undefined || label === labels[0] ? body : { ...body, label };
    const outcome = await permitted(() => ask("POST", path, wish)).catch((error) => error);
    place.replaceChildren(...(outcome instanceof Error ? [fault(outcome)] : draw(outcome.explanations[0], curl(path, wish))), choice(label));
    place.classList.remove("waiting");
  };
  const choice = (chosen) => (labels.length < 2 ? "" : h("label", { class: "why-label" }, "Explain ",
    h("select", { "aria-label": "Label to explain", onchange: (event) => show(event.target.value) },
      labels.map((label) => h("option", { value: label, selected: label === chosen }, label)))));
  place.append(h("button", { type: "button", class: "quiet small", onclick: () => show() }, "Why?"));
  return place;
}

function draw(row, command) {
  if (row.error) return [fault(row.error)];
  const amount = row.label === undefined ? (value) => number(value, 6) : percent;
  return [
    h("p", {}, h("b", {}, h("bdi", {}, row.label ?? row.part ?? row.output), ` ${amount(row.prediction)}`), ` instead of ${amount(row.baseline)}, because of`),
    ...signed(row.contributions.map((one) => ({ name: one.feature, detail: detail(one), value: one.contribution }))),
    h("p", { class: "hint" }, `Compared with ${row.reference}. ${exactness(row)}`),
    h("details", {}, h("summary", {}, "The same from a terminal"), h("div", { class: "repeat" }, copying(command), h("pre", {}, command))),
  ];
}

function detail(one) {
  if (one.value === null) return "";
  const text = (value) => (typeof value === "number" ? number(value, 4) : String(value));
  return one.reference === null ? text(one.value) : `${text(one.value)}, reference ${text(one.reference)}`;
}

function exactness(row) {
  return row.method === "exact" ? "Every combination was run." : `Each number is within ${number(row.sampling_error, 2)} (95 %).`;
}
