// Rates and latencies between two readings of /metrics.

const LINE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;
const KEPT = 90;       // readings, two seconds apart
const WINDOW = 8;      // readings that a latency is taken over

/** Parse the Prometheus text format into {name, labels, value}. */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = LINE.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value]));
    samples.push({ name: found[1], labels, value: Number(found[3]) });
  }
  return samples;
}

/** Readings over time, of all models or of one. */
export class Telemetry {
  constructor(model = null) {
    this.model = model;
    this.readings = [];
  }

  /** Take a reading. */
  add(samples, at = performance.now()) {
    const mine = samples.filter(({ labels }) => this.model === null || labels.model === undefined || labels.model === this.model);
    const sum = (name) => mine.filter((one) => one.name === name).reduce((total, one) => total + one.value, 0);
    const buckets = new Map();
    for (const one of mine.filter(({ name }) => name === "insitu_request_seconds_bucket")) {
      const edge = one.labels.le === "+Inf" ? Infinity : Number(one.labels.le);
      buckets.set(edge, (buckets.get(edge) ?? 0) + one.value);
    }
    this.readings.push({
      at,
      requests: sum("insitu_requests_total"),
      rows: sum("insitu_rows_total"),
      errors: sum("insitu_errors_total"),
      runs: sum("insitu_batch_rows_count"),
      ran: sum("insitu_batch_rows_sum"),
      memory: sum("process_resident_memory_bytes"),
      redis: mine.find(({ name }) => name === "insitu_redis_up")?.value ?? null,
      buckets,
    });
    if (this.readings.length > KEPT) this.readings.shift();
  }

  get last() {
    return this.readings.at(-1) ?? null;
  }

  /** Increase of a counter a second, one value between each two readings. */
  rates(name) {
    return this.readings.slice(1).map((reading, index) => {
      const before = this.readings[index];
      return Math.max(0, reading[name] - before[name]) / ((reading.at - before.at) / 1000);
    });
  }

  /** Rows a run, over the last readings; null when nothing ran. */
  get batch() {
    const [from, to] = this.ends();
    return to && to.runs > from.runs ? (to.ran - from.ran) / (to.runs - from.runs) : null;
  }

  /** A quantile of the latency in seconds over the last readings; null without requests. */
  quantile(share) {
    const [from, to] = this.ends();
    if (!to) return null;
    const edges = [...to.buckets.keys()].sort((a, b) => a - b);
    const counts = edges.map((edge) => to.buckets.get(edge) - (from.buckets.get(edge) ?? 0));
    const total = counts.at(-1) ?? 0;
    if (total <= 0) return null;
    const at = counts.findIndex((count) => count >= share * total);
    const [low, high] = [at ? edges[at - 1] : 0, edges[at]];
    const [below, upTo] = [at ? counts[at - 1] : 0, counts[at]];
    return high === Infinity ? low : low + ((high - low) * (share * total - below)) / (upTo - below);
  }

  ends() {
    return [this.readings.at(-Math.min(WINDOW, this.readings.length)), this.readings.length > 1 ? this.last : null];
  }
}
