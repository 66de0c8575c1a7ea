// Small charts as SVG and bars; they take their colours from the style sheet.

import { h, number, parted, s } from "./elements.js";

const FEW = 4;  // labels whose names fit side by side

/** A line without axes, for a tile. */
export function sparkline(values, label) {
  const [width, height] = [160, 36];
  const most = Math.max(...values, 1e-9);
  const points = values.map((value, at) => `${(at * width) / Math.max(1, values.length - 1)},${height - 2 - (value / most) * (height - 4)}`);
  return s("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    values.length > 1 && s("polygon", { points: `0,${height} ${points.join(" ")} ${width},${height}` }),
    values.length > 1 && s("polyline", { points: points.join(" "), "vector-effect": "non-scaling-stroke" }));
}

/** Probabilities as bars, the largest first. */
export function bars(probabilities, chosen, most = 8) {
  const pairs = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  const bar = ([label, share]) => {
    const fill = h("span", { class: "bar-fill" });
    fill.style.width = `${Math.max(0, Math.min(1, share ?? 0)) * 100}%`;
    return h("li", { class: chosen.includes(label) ? "chosen" : null },
      h("span", { class: "bar-label" }, label), h("span", { class: "bar" }, fill),
      h("span", { class: "bar-value" }, share === null ? "–" : percent(share)));
  };
  return [
    h("ul", { class: "bars" }, pairs.slice(0, most).map(bar)),
    pairs.length > most && h("details", {}, h("summary", {}, pairs.length === most + 1 ? "1 more label" : `${pairs.length - most} more labels`),
      h("ul", { class: "bars" }, pairs.slice(most).map(bar))),
  ];
}

/** A probability in per cent; what is almost certain does not look certain. */
export function percent(share) {
  if (share > 0 && share < 0.001) return "<0.1 %";
  return share > 0.999 && share < 1 ? ">99.9 %" : `${(share * 100).toFixed(1)} %`;
}

/** What features add, as bars from the middle to either side, in the order given: [{ name, detail, value }]. */
export function signed(entries, most = 12) {
  const largest = Math.max(...entries.map(({ value }) => Math.abs(value)), 1e-12);
  const bar = ({ name, detail, value }) => {
    const fill = h("span", { class: value < 0 ? "bar-fill less" : "bar-fill more" });
    fill.style.width = `${(Math.abs(value) / largest) * 50}%`;
    return h("li", {},
      h("span", { class: "bar-label" }, parted(name), detail && h("small", {}, detail)), h("span", { class: "bar" }, value !== 0 && fill),
      h("span", { class: "bar-value" }, `${value > 0 ? "+" : ""}${number(value, 3)}`));
  };
  return [
    h("ul", { class: "bars signed" }, entries.slice(0, most).map(bar)),
    entries.length > most && h("details", {}, h("summary", {}, entries.length === most + 1 ? "1 more feature" : `${entries.length - most} more features`),
      h("ul", { class: "bars signed" }, entries.slice(most).map(bar))),
  ].filter(Boolean);
}

/** Sizes by name as bars, in the order given. */
export function sizes(values, most = 12) {
  const pairs = Object.entries(values);
  const largest = Math.max(...pairs.map(([, value]) => value), 1e-12);
  const bar = ([name, value]) => {
    const fill = h("span", { class: "bar-fill" });
    fill.style.width = `${(value / largest) * 100}%`;
    return h("li", {}, h("span", { class: "bar-label" }, parted(name)), h("span", { class: "bar" }, fill), h("span", { class: "bar-value" }, number(value, 3)));
  };
  return [
    h("ul", { class: "bars" }, pairs.slice(0, most).map(bar)),
    pairs.length > most && h("details", {}, h("summary", {}, pairs.length === most + 1 ? "1 more feature" : `${pairs.length - most} more features`),
      h("ul", { class: "bars" }, pairs.slice(most).map(bar))),
  ];
}

/** Curves over epochs: `series` is {name: [numbers]}, drawn on one scale. */
export function curves(series, label) {
  const [width, height, left, bottom, top] = [560, 220, 48, 26, 10];
  const names = Object.keys(series);
  const all = names.flatMap((name) => series[name]).filter(Number.isFinite);
  const [low, high] = [Math.min(...all, 0), Math.max(...all)];
  const count = Math.max(...names.map((name) => series[name].length));
  const x = (at) => left + (at * (width - left - 8)) / Math.max(1, count - 1);
  const y = (value) => height - bottom - ((value - low) / (high - low || 1)) * (height - bottom - top);
  const ticks = [0, 0.5, 1].map((share) => low + share * (high - low));
  return h("figure", { class: "curves" },
    s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
      ticks.map((value) => [
        s("line", { class: "grid", x1: left, x2: width - 8, y1: y(value), y2: y(value) }),
        s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value, 2))]),
      s("text", { x: left, y: height - 6 }, "1"),
      s("text", { x: width - 8, y: height - 6, "text-anchor": "end" }, String(count)),
      s("text", { x: (left + width) / 2, y: height - 6, "text-anchor": "middle" }, "epoch"),
      names.map((name, index) => s("polyline", { class: `curve curve-${index % 4}`,
        points: series[name].map((value, at) => (Number.isFinite(value) ? `${x(at)},${y(value)}` : "")).join(" ") }))),
    h("figcaption", {}, names.map((name, index) => h("span", { class: `key key-${index % 4}` }, name.replaceAll("_", " ")))));
}

/** Who was taken for whom: rows are true, columns said. */
export function confusion(matrix, labels) {
  const most = Math.max(...matrix.flat(), 1);
  const cell = (count, row, column) => {
    const box = h("td", { class: row === column ? "right" : "wrong" }, String(count));
    box.style.setProperty("--share", count / most);
    return box;
  };
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Confusion matrix" },
    h("table", { class: labels.length > FEW ? "confusion many" : "confusion" },
      h("caption", {}, "Rows are true, columns are what the model said"),
      h("thead", {}, h("tr", {}, h("th"), labels.map((label) => h("th", { scope: "col" }, label)))),
      h("tbody", {}, matrix.map((counts, row) =>
        h("tr", {}, h("th", { scope: "row" }, labels[row]), counts.map((count, column) => cell(count, row, column)))))));
}
