// Another series behind the one shown: its trace over the same frames, thin and grey.

import { Panel, askTick, seriesPath } from "./api.js";
import { set } from "./figures.js";
import { significant } from "./format.js";
import { label } from "./series.js";
import { option } from "./toolbar.js";

const EVERY_MS = 10000;
const $ = (id) => document.getElementById(id);

export class Reference {
  // wanted() -> { ref, channel, region, unit, px, from, to } or null; shown() -> header of
  // the tick shown; onTrace({ blocks, name } or null) draws; onChoice(key or
  // null): it was chosen.
  constructor({ wanted, shown, onTrace, onChoice }) {
    Object.assign(this, { onTrace, shown });
    this.key = null;
    this.names = new Map();
    this.trace = null;
    $("reference").addEventListener("change", () => {
      $("reference").blur();
      onChoice($("reference").value || null);
    });
    this.panel = new Panel($("reference"), {
      everyMs: EVERY_MS,
      always: true,
      wanted: () => {
        const what = wanted();
        return what && { ...what, version: Math.floor(performance.now() / EVERY_MS) };
      },
      load: async ({ ref, to, version: _, ...query }) => {
        const tick = await askTick(seriesPath(ref, "/trace", { ...query, to: to ?? shown().to }));
        return () => this.show(tick);
      },
      clear: () => this.drop(),
      failed: (text) => this.failed(text),
    });
  }

  show({ header, blocks }) {
    const own = header.unit === "counts" ? "in its own counts" : "by its own mean";
    this.trace = { blocks, name: this.name() };
    const frames = blocks.frame.length ? own : "has no frames here";
    set("reference-text", `grey: ${this.name()}, ${frames}${this.pace(header)}`);
    this.onTrace(this.trace);
  }

  // Frames are laid over frames, which are not the same times where they take longer.
  pace({ frame_time_s: own }) {
    const other = this.shown()?.frame_time_s;
    if (!own || !other || own === other) return "";
    return `; frame by frame: its frames take ${significant(1000 * own)} ms, these ${significant(1000 * other)} ms`;
  }

  drop() {
    set("reference-text", "");
    if (this.trace) this.onTrace(null);
    this.trace = null;
  }

  failed(text) {
    $("reference-text").classList.toggle("failed", Boolean(text));
    if (!text) return;
    this.drop();
    set("reference-text", `No reference: ${text}`);
  }

  name() {
    return this.names.get(this.key) ?? this.key;
  }

  // list: of series, as the API tells them; shown: key of the series in front.
  offer(list, shown, chosen) {
    this.key = chosen;
    this.names = new Map(list.map((one) => [one.series, label(one)]));
    const keys = list.map((one) => one.series).filter((key) => key !== shown);
    if (chosen !== null && !keys.includes(chosen)) keys.unshift(chosen);
    if (document.activeElement === $("reference") && $("reference").options.length) return;
    const offered = keys.map((key) => option(key, this.names.get(key) ?? key));
    $("reference").replaceChildren(option("", "no reference"), ...offered);
    $("reference").value = chosen ?? "";
  }
}
