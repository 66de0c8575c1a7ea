// The page of one model: predict with it, see what it reads and how good it is, move its aliases.

import { sparkline } from "./charts.js";
import { permitted, question, tell } from "./dialogs.js";
import { bytes, card, duration, fault, h, moment, number, provider } from "./elements.js";
import { featureView, signatures } from "./features.js";
import { predicting } from "./predicting.js";
import { metrics, modelCard, origin } from "./report.js";
import { ask, modelPath } from "./service.js";
import { Telemetry } from "./telemetry.js";

const PRODUCTION = "production";
const SHADOW = "shadow";

/** Draw the page of a model, of one version where `reference` says so; `recent` are readings of /metrics. */
export async function modelPage(main, name, reference, recent) {
  const telemetry = new Telemetry(name);
  recent.forEach(({ samples, at }) => telemetry.add(samples, at));
  const live = h("p", { class: "live" });
  const versions = h("div", {});
  const model = await ask("GET", modelPath(name));
  const shown = reference ?? String(model.aliases[PRODUCTION] ?? model.versions.at(-1));
  const version = await ask("GET", modelPath(name, "versions", shown)).catch((error) => error);
  live.append(...drawLive(telemetry));
  const refresh = () => refreshVersions(versions, name, moved);
  // What production means is the page itself, where it names no version.
  const moved = async () => (reference ? refresh() : dispatchEvent(new Event("hashchange")));
  drawVersions(versions, model, moved);
  main.replaceChildren(
    h("div", { class: "title" },
      h("p", { class: "crumbs" }, h("a", { href: "#/" }, "Models"), " / "),
      h("h1", {}, name, " ", h("span", { class: "badge" }, `v${version.version ?? shown}`)),
      h("p", {}, version.description ?? model.description), live),
    version instanceof Error ? fault(version) : h("div", { class: "columns" },
      h("div", {}, predicting(name, version, choices(model, reference)), featureView(version), signatures(version), origin(version)),
      h("div", {}, versions, metrics(version), modelCard(version))),
    version instanceof Error ? versions : "");
  const timer = setInterval(() => document.hidden || refresh(), 5000);
  return {
    reading: (samples) => {
      telemetry.add(samples);
      live.replaceChildren(...drawLive(telemetry));
    },
    leave: () => clearInterval(timer),
  };
}

function choices(model, reference) {
  const named = Object.entries(model.aliases).map(([alias, version]) => [alias === PRODUCTION ? "" : alias, `${alias} (v${version})`]);
  const numbered = [...model.versions].reverse().slice(0, 100).map((version) => [String(version), `v${version}`]);
  const first = numbered.filter(([value]) => value === reference);
  return [...first, ...named.sort((a) => (a[0] === "" ? -1 : 1)), ...numbered.filter(([value]) => value !== reference)];
}

function drawLive(telemetry) {
  const rates = telemetry.rates("requests");
  const median = telemetry.quantile(0.5);
  return [
    rates.length > 1 && sparkline(rates, "Requests a second"),
    h("span", {}, h("b", {}, rates.length ? number(rates.at(-1), 3) : "–"), " requests a second"),
    h("span", {}, "median ", h("b", {}, median === null ? "–" : duration(median))),
    h("span", {}, "p99 ", h("b", {}, median === null ? "–" : duration(telemetry.quantile(0.99)))),
  ].filter(Boolean);
}

async function refreshVersions(place, name, moved) {
  try {
    const model = await ask("GET", modelPath(name));
    const seen = JSON.stringify(model);
    if (place.dataset.seen !== seen) drawVersions(place, model, moved);
  } catch (error) {
    if (error.status === 404) location.hash = "#/";
  }
}

function drawVersions(place, model, moved) {
  place.dataset.seen = JSON.stringify(model);
  place.replaceChildren(card("Versions",
    h("ul", { class: "pointers" }, Object.entries(model.aliases).map(([alias, version]) =>
      h("li", {}, h("span", { class: alias === PRODUCTION ? "chip main" : "chip" }, alias, h("b", {}, `v${version}`)),
        h("button", { type: "button", class: "quiet small", onclick: () => rollBack(model.name, alias, moved) }, "Roll back")))),
    h("ul", { class: "versions" }, model.history.map((one) => drawVersion(model, one, moved)))));
}

function drawVersion(model, one, moved) {
  return h("li", {},
    h("div", { class: "version-about" },
      h("a", { href: `#/models/${encodeURIComponent(model.name)}/${one.version}` }, `v${one.version}`),
      h("span", { class: one.provider ? "badge good" : "badge" }, provider(one.provider) ?? "not loaded"),
      one.traffic !== null && h("span", { class: "badge warn" }, `${number(one.traffic, 3)} % of traffic`),
      one.aliases.includes(SHADOW) && h("span", { class: "badge" }, "shadow"),
      h("small", {}, moment(one.created), ` · ${bytes(one.size_bytes)}`),
      one.problem && h("small", { class: "bad" }, one.problem)),
    h("div", { class: "version-metrics" }, Object.entries(one.metrics).slice(0, 2).map(([metric, value]) =>
      h("span", { class: "metric" }, metric.replaceAll("_", " "), " ", h("b", {}, number(value, 3))))),
    h("div", { class: "buttons" },
      h("button", { type: "button", class: "quiet small", onclick: () => promote(model, one.version, moved) }, "Promote"),
      one.aliases.length === 0 && one.traffic === null && h("button", { type: "button", class: "quiet small bad", onclick: () => remove(model.name, one.version, moved) }, "Delete")));
}

async function promote(model, version, moved) {
  const values = await question(`Promote v${version} of ${model.name}`, [
    h("p", {}, "Every server switches to it between two requests; rolling back undoes it."),
    model.traffic && h("p", {}, "Moving production ends the traffic rule."),
    h("label", {}, "Alias", h("input", { name: "alias", value: PRODUCTION, required: true, pattern: "[a-z][a-z0-9_-]*", autocomplete: "off", list: "aliases" })),
    h("datalist", { id: "aliases" }, Object.keys(model.aliases).map((alias) => h("option", { value: alias }))),
  ], "Promote");
  if (values) await changed(() => ask("PUT", modelPath(model.name, "aliases", values.alias), { version }), moved);
}

async function rollBack(name, alias, moved) {
  const values = await question(`Roll ${alias} of ${name} back`, [
    h("p", {}, "It will point to the version it pointed to before; every server switches between two requests."),
  ], "Roll back");
  if (values) await changed(() => ask("POST", modelPath(name, "aliases", alias, "rollback")), moved);
}

async function remove(name, version, moved) {
  const values = await question(`Delete v${version} of ${name}`, [
    h("p", {}, "It is deleted for good; its number is never used again."),
  ], "Delete", true);
  if (values) await changed(() => ask("DELETE", modelPath(name, "versions", String(version))), moved);
}

async function changed(action, moved) {
  try {
    await permitted(action);
  } catch (error) {
    await tell(error);
  }
  await moved();
}
