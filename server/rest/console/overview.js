// The first page: what the server does right now, and every model.

import { sparkline } from "./charts.js";
import { bytes, card, duration, faultAbove, h, heading, more, number, provider, redraw } from "./elements.js";
import { again } from "./pace.js";
import { ask } from "./service.js";

const PAGE = 100;
const MOST = 1000;  // in one answer
const READ_MS = 5000;
const NAMED = 10;  // of the models that are away

/** Draw the page into `main`; returns what to do when there is a new reading. */
export async function overview(main, telemetry) {
  const tiles = h("div", { class: "tiles" });
  const list = h("div", {});
  const refresh = (count) => refreshList(list, count, refresh);
  main.replaceChildren(heading("Models of this server"), tiles, card("Models", list));
  const show = () => tiles.replaceChildren(...drawTiles(telemetry));
  show();
  await refresh(PAGE);
  return { reading: show, leave: again(() => refresh(Number(list.dataset.count)), READ_MS) };
}

function drawTiles(telemetry) {
  const { last } = telemetry;
  const [requests, rows, errors] = ["requests", "rows", "errors"].map((name) => telemetry.rates(name));
  const latency = (share) => (telemetry.quantile(share) === null ? "–" : duration(telemetry.quantile(share)));
  return [
    tile("Requests a second", requests.length ? number(requests.at(-1), 3) : "–", sparkline(requests, "Requests a second over the last three minutes")),
    tile("Rows a second", rows.length ? number(rows.at(-1), 3) : "–", sparkline(rows, "Rows a second over the last three minutes")),
    tile("Latency", latency(0.5), h("p", {}, "median · p99 ", h("b", {}, latency(0.99)))),
    tile("Rows a run", telemetry.batch === null ? "–" : number(telemetry.batch, 3),
      h("p", {}, "errors a second ", h("b", {}, errors.length ? number(errors.at(-1), 2) : "–"))),
    tile("Memory", last ? bytes(last.memory) : "–", h("p", {}, "of the server process")),
  ];
}

function tile(title, value, below) {
  return h("section", { class: "tile" }, h("h2", {}, title), h("strong", {}, value), below);
}

async function refreshList(list, count, refresh) {
  list.dataset.count = count;
  try {
    const { models, next, missing = [] } = await ask("GET", `v1/models?limit=${count}`);
    if (list.dataset.count !== String(count)) return;  // a larger one was asked for meanwhile
    redraw(list, missing.length && away(missing), models.length || missing.length ? drawModels(models) : empty(),
      next && more(`The first ${count} models are shown.`, "GET /v1/models?after=… lists the rest.", count, MOST, PAGE, refresh));
  } catch (error) {
    if (!list.hasChildNodes()) throw error;
    list.classList.add("stale");
    faultAbove(list, error);
    return;
  }
  list.classList.remove("stale");
}

/** Which models are not in the list because nobody can read them; before it, where a long list hides nothing. */
function away(names) {
  const [few, rest] = [names.slice(0, NAMED), names.length - NAMED];
  return h("p", { class: "caution" }, "Not listed, because their node of the Redis Cluster is away: ",
    h("b", {}, few.join(", ")), rest > 0 && ` and ${rest} more`);
}

function drawModels(models) {
  return h("ul", { class: "models" }, models.map((model) =>
    h("li", { class: "model" },
      h("a", { href: `#/models/${encodeURIComponent(model.name)}`, "data-held": model.name },
        h("div", { class: "model-about" }, h("h3", {}, model.name), h("p", {}, model.description || model.task || "")),
        h("div", { class: "model-facts" },
          aliases(model.aliases),
          h("span", { class: "hint" }, `${model.versions.length} ${model.versions.length === 1 ? "version" : "versions"}`),
          h("span", { class: model.provider ? "badge good" : "badge" }, provider(model.provider) ?? "not loaded"),
          metrics(model.metrics))))));
}

function metrics(values) {
  return Object.entries(values).slice(0, 2).map(([name, value]) =>
    h("span", { class: "metric" }, name.replaceAll("_", " "), " ", h("b", {}, number(value, 3))));
}

/** Aliases as chips. */
export function aliases(pairs) {
  return h("span", { class: "chips" }, Object.entries(pairs).map(([alias, version]) =>
    h("span", { class: alias === "production" ? "chip main" : "chip" }, alias, h("b", {}, `v${version}`))));
}

function empty() {
  return h("div", { class: "empty" },
    h("p", {}, "No model is stored yet."),
    h("p", {}, "Train the three examples with ", h("code", {}, "insitu demo"), ", or publish any ONNX file: ",
      h("code", {}, "insitu publish model.onnx --name NAME --features view.yaml")));
}
