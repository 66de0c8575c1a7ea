// The page of one model: predict with it, see what it reads and how good it is, move its aliases.

import { sparkline } from "./charts.js";
import { permitted, question, tell } from "./dialogs.js";
import { bytes, card, duration, fault, faultAbove, h, moment, more, number, provider, redraw } from "./elements.js";
import { featureView, signatures } from "./features.js";
import { predicting } from "./predicting.js";
import { again } from "./pace.js";
import { metrics, modelCard, origin } from "./report.js";
import { ask, modelPath } from "./service.js";
import { Telemetry } from "./telemetry.js";

const PRODUCTION = "production";
const SHADOW = "shadow";
const ALIAS = "[a-z][a-z0-9_\\-]{0,63}";  // a browser reads it with the flag v, which wants its - escaped
const FEW = 10;  // versions at first: what else is known of the model stands below them
const PAGE = 50;
const MOST = 1000;  // in one answer
const READ_MS = 5000;

/** Draw the page of a model, of one version where `reference` says so; `recent` are readings of /metrics. */
export async function modelPage(main, name, reference, recent) {
  const telemetry = new Telemetry(name);
  recent.forEach(({ samples, at }) => telemetry.add(samples, at));
  const live = h("p", { class: "live" });
  const news = h("p", { class: "news", role: "status" });
  const model = await ask("GET", `${modelPath(name)}?limit=${FEW}`);
  const shown = meant(model, reference);
  const version = await ask("GET", modelPath(name, "versions", shown)).catch((error) => error);
  live.append(...drawLive(telemetry));
  const anew = () => dispatchEvent(new Event("hashchange"));
  const versions = new Versions(name, FEW, (now) => {
    const told = h("span", {}, overtaken(now, reference, shown, anew));
    if (news.textContent !== told.textContent) redraw(news, told);
  });
  // What an alias means is the page itself, where it names no version.
  versions.moved = async () => (reference && shown === reference ? versions.refresh() : anew());
  versions.draw(model);
  main.replaceChildren(
    h("div", { class: "title" },
      h("p", { class: "crumbs" }, h("a", { href: "#/" }, "Models"), " / "),
      h("h1", {}, name, " ", h("span", { class: "badge" }, `v${version.version ?? shown}`)),
      h("p", {}, version.description ?? model.description), live, news),
    version instanceof Error ? fault(version) : h("div", { class: "columns" },
      h("div", {}, predicting(name, version, choices(model, reference)), featureView(version), signatures(version), origin(version)),
      h("div", {}, versions.place, metrics(version), modelCard(version))),
    version instanceof Error ? versions.place : "");
  return {
    reading: (samples) => {
      telemetry.add(samples);
      live.replaceChildren(...drawLive(telemetry));
    },
    leave: again(() => versions.refresh(), READ_MS),
  };
}

// The version that an address means: an alias what it points to, no reference what production does.
function meant(model, reference) {
  return String(model.aliases[reference ?? PRODUCTION] ?? reference ?? model.versions.at(-1));
}

// What to say of a page that shows another version than its address means by now; null where it shows the same.
function overtaken(model, reference, shown, anew) {
  const now = meant(model, reference);
  if (now !== shown) {
    return [`${reference ?? PRODUCTION} means v${now} by now; this page shows v${shown}. `,
      h("button", { type: "button", class: "quiet small", onclick: anew }, `Show v${now}`)];
  }
  return model.versions.includes(Number(shown)) || !/^\d+$/.test(shown) ? null : [`v${shown} is deleted.`];
}

function choices(model, reference) {
  const named = Object.entries(model.aliases).map(([alias, version]) => [alias === PRODUCTION ? "" : alias, `${alias} (v${version})`]);
  const numbered = [...model.versions].reverse().slice(0, 100).map((version) => [String(version), `v${version}`]);
  const every = [...named.sort((a) => (a[0] === "" ? -1 : 1)), ...numbered];
  if (reference === undefined) return every;
  // What the page shows comes first, whether it is an alias, or older than those that are listed.
  const mine = every.find(([value]) => value === reference) ?? [reference === PRODUCTION ? "" : reference, /^\d+$/.test(reference) ? `v${reference}` : reference];
  return [mine, ...every.filter(([value]) => value !== mine[0])];
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

// The list of versions: read again and again, drawn where it has changed.
class Versions {
  constructor(name, count, seen) {
    Object.assign(this, { name, count, seen, list: h("div", {}), last: "", moved: () => {} });
    this.place = card("Versions", this.list);
  }

  async refresh(count = this.count) {
    this.count = count;
    try {
      const model = await ask("GET", `${modelPath(this.name)}?limit=${count}`);
      if (count !== this.count) return;  // a larger one was asked for meanwhile
      this.list.querySelector(":scope > .fault")?.remove();
      this.seen(model);
      if (JSON.stringify(model) !== this.last) this.draw(model);
    } catch (error) {
      if (error.status === 404) location.hash = "#/";
      else faultAbove(this.list, error);
    }
  }

  draw(model) {
    const { moved } = this;
    this.last = JSON.stringify(model);
    redraw(this.list,
      h("ul", { class: "pointers" }, Object.entries(model.aliases).map(([alias, version]) => drawPointer(model, alias, version, moved))),
      h("ul", { class: "versions" }, model.history.map((one) => drawVersion(model, one, moved))),
      model.history.length < model.versions.length && more(`The newest ${model.history.length} of ${number(model.versions.length)} versions are shown.`,
        "GET /v1/models/NAME/versions/N shows any other.", this.count, MOST, PAGE, (count) => this.refresh(count)));
  }
}

function drawPointer(model, alias, version, moved) {
  const before = model.previous[alias];
  return h("li", {}, h("span", { class: alias === PRODUCTION ? "chip main" : "chip" }, alias, h("b", {}, `v${version}`)),
    before !== undefined && h("button", {
      type: "button", class: "quiet small", "data-held": `back ${alias}`, "aria-label": `Roll back ${alias} to v${before}`,
      onclick: () => rollBack(model.name, alias, before, moved),
    }, `Roll back to v${before}`));
}

function drawVersion(model, one, moved) {
  return h("li", {},
    h("div", { class: "version-about" },
      h("a", { href: `#/models/${encodeURIComponent(model.name)}/${one.version}`, "data-held": `v${one.version}` }, `v${one.version}`),
      h("span", { class: one.provider ? "badge good" : "badge" }, provider(one.provider) ?? "not loaded"),
      one.traffic !== null && h("span", { class: "badge warn" }, `${number(one.traffic, 3)} % of traffic`),
      one.aliases.includes(SHADOW) && h("span", { class: "badge" }, "shadow"),
      h("small", {}, moment(one.created), ` · ${bytes(one.size_bytes)}`),
      one.problem && h("small", { class: "bad" }, one.problem)),
    h("div", { class: "version-metrics" }, Object.entries(one.metrics).slice(0, 2).map(([metric, value]) =>
      h("span", { class: "metric" }, metric.replaceAll("_", " "), " ", h("b", {}, number(value, 3))))),
    h("div", { class: "buttons" },
      act("Promote", one, "", () => promote(model, one.version, moved)),
      one.aliases.length === 0 && one.traffic === null && act("Delete", one, " bad", () => remove(model.name, one.version, moved))));
}

// A button of a version: who hears it alone is told of which one.
function act(word, one, kind, onclick) {
  const said = `${word} v${one.version}`;
  return h("button", { type: "button", class: `quiet small${kind}`, "data-held": said, "aria-label": said, onclick }, word);
}

async function promote(model, version, moved) {
  const values = await question(`Promote v${version} of ${model.name}`, [
    h("p", {}, "Every server switches to it between two requests; rolling back undoes it."),
    model.traffic && h("p", {}, "Moving production ends the traffic rule."),
    h("label", {}, "Alias", h("input", { name: "alias", value: PRODUCTION, required: true, pattern: ALIAS, title: "1 to 64 of a-z 0-9 _ -, the first a letter", autocomplete: "off", list: "aliases" })),
    h("datalist", { id: "aliases" }, Object.keys(model.aliases).map((alias) => h("option", { value: alias }))),
  ], "Promote");
  if (values) await changed(() => ask("PUT", modelPath(model.name, "aliases", values.alias), { version }), moved);
}

async function rollBack(name, alias, before, moved) {
  const values = await question(`Roll ${alias} of ${name} back`, [
    h("p", {}, `It will point to v${before} again, as before; every server switches between two requests.`),
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
    return tell(error);
  }
  await moved();
}
