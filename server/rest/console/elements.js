// DOM elements from data: text is only ever set as text, so nothing a model says becomes markup.

import { digits } from "./exact.js";

/** Make an element: `h("p", { class: "hint" }, "text", child, [more])`. */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** A name of a program's, which goes on in a second line behind an underscore sooner than within a word. */
export function parted(text) {
  return text.split(/(?<=_)/).flatMap((part) => [h("wbr"), part]).slice(1);
}

/** Make an SVG element. */
export function s(tag, properties = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Draw a place anew; what has the focus keeps it, known by its `data-held`; where it is gone the page's content has it. */
export function redraw(place, ...children) {
  const held = place.contains(document.activeElement) ? document.activeElement.dataset.held : undefined;
  place.replaceChildren(...children.filter(Boolean));
  if (held === undefined) return;
  const kept = [...place.querySelectorAll("[data-held]")].find((one) => one.dataset.held === held);
  (kept ?? document.getElementById("main")).focus({ preventScroll: true });
}

/**
 * What stands below the first `count` of a list: a button that shows a page more, up to the `most` of one answer;
 * `rest` says how to come by the others. The keyboard goes on with what is new.
 */
export function more(words, rest, count, most, page, show) {
  const button = h("button", { type: "button", class: "quiet small", "data-held": "more", onclick: async () => {
    const place = button.closest(".more").parentElement;
    await show(Math.min(most, count + page));
    place.querySelector(":scope > ul:last-of-type")?.children[count]?.querySelector("[data-held]")?.focus();
  } }, `Show ${page} more`);
  return h("p", { class: "hint more" }, words, " ", count < most ? button : rest);
}

/** What a page is, for who goes from heading to heading by ear; who sees the page reads it in the navigation. */
export function heading(text) {
  return h("h1", { class: "heard" }, text);
}

/** A card with a heading. */
export function card(title, ...children) {
  return h("section", { class: "card" }, h("h2", {}, title), ...children);
}

/** A table: heads are texts, rows are arrays of what a cell may hold. */
export function table(heads, rows, label) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": label },
    h("table", {},
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell)))))));
}

/**
 * Tabs as WAI-ARIA has them: one of them is in the order of Tab, the arrows, Home and End go to the others.
 * `names` are texts by what `choose` is told; the id of `panel`, where what is chosen is shown, says whose they are.
 */
export function tabs(label, names, panel, choose) {
  const keys = Object.keys(names);
  const every = keys.map((key, at) => h("button", {
    type: "button", role: "tab", id: `${panel.id}-${key}`, "aria-controls": panel.id, onclick: () => select(at),
  }, names[key]));
  const select = (at) => {
    every.forEach((one, other) => {
      one.setAttribute("aria-selected", String(other === at));
      one.tabIndex = other === at ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", every[at].id);
    choose(keys[at]);
  };
  const bar = h("div", { class: "tabs", role: "tablist", "aria-label": label, onkeydown: (event) => {
    const at = every.indexOf(event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined || at < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const next = (to + every.length) % every.length;
    every[next].focus();
    select(next);
  } }, every);
  return { bar, select: (key) => select(keys.indexOf(key)) };
}

/** Names beside values. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** An error as its answer words it. */
export function fault(error) {
  return h("div", { class: "fault", role: "alert" },
    h("strong", {}, error.code ?? "error"), " ", h("span", {}, error.message ?? String(error)));
}

/** Say an error above what is shown; one that is said already is not said again, to nobody who hears the page. */
export function faultAbove(place, error) {
  const [said, told] = [place.querySelector(":scope > .fault"), fault(error)];
  if (said?.textContent === told.textContent) return;
  said?.remove();
  place.prepend(told);
}

/** A number in at most `places` significant digits. */
export function number(value, places = 4) {
  if (typeof value !== "number") return digits(value) ?? String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e9) ? value.toExponential(places - 1) : String(Number(value.toPrecision(places)));
}

/** Bytes for people. */
export function bytes(value) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let at = 0;
  for (; value >= 1000 && at < units.length - 1; at += 1) value /= 1000;
  return `${number(value, 3)}\u00a0${units[at]}`;
}

/** Seconds for people. */
export function duration(seconds) {
  if (seconds < 0.001) return `${number(seconds * 1e6, 2)} µs`;
  return seconds < 1 ? `${number(seconds * 1e3, 3)} ms` : `${number(seconds, 3)} s`;
}

/** A moment, in the reader's time zone. */
export function moment(text) {
  return text === null || text === undefined ? null
    : h("time", { datetime: text }, new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
}

/** ONNX Runtime's providers in short. */
export function provider(name) {
  return name === null || name === undefined ? null : name.replace("ExecutionProvider", "");
}

/** A button that copies a text. */
export function copying(text) {
  const button = h("button", { type: "button", class: "quiet small", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy";  // no clipboard outside HTTPS and localhost
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return button;
}
