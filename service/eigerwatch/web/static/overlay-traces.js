// Traces of several runs in one plot, by frame or by time, zoomed down to the frames.

import { askTick, seriesPath } from "./api.js";
import { Keys } from "./keys.js";
import { MadePlot, traces } from "./overlay.js";
import { Ranges } from "./ranges.js";

const PX = 800; // two points for each
const ADDRESS = /^(frame|time)(?::(\d{1,15})-(\d{1,15}))?$/;
const $ = (id) => document.getElementById(id);

export class OverlayTraces extends MadePlot {
  // onProblem(error): the traces do not come; onChange(): other frames, or by time.
  constructor(element, { onProblem, onChange }) {
    super(element);
    Object.assign(this, { onProblem, onChange });
    this.keys = [];
    this.ticks = [];
    this.asked = 0;
    this.view = { from: null, to: null }; // frames of the first run
    this.ranges = new Ranges({
      view: this.view,
      length: () => this.length,
      onRange: (from, to) => {
        Object.assign(this.view, { from, to });
        this.onChange();
        this.load();
      },
    });
    new Keys(this.ranges.keys, { when: () => !$("comparison").hidden && this.length > 0 });
    $("overlay-whole").addEventListener("click", () => this.ranges.show(null, null));
    for (const id of ["by-frame", "by-time"]) $(id).addEventListener("change", () => this.align());
  }

  // address: as written by address().
  async show(keys, names, address = "") {
    Object.assign(this, { keys, names, ticks: [] });
    this.clear();
    this.whole();
    const [, by, from, to] = ADDRESS.exec(address) ?? [];
    if (by) $(`by-${by}`).checked = true;
    await this.load();
    const same = keys === this.keys; // others may have been chosen meanwhile
    if (same && to && Number(to) > Number(from)) this.ranges.show(Number(from), Number(to));
  }

  // What is shown, for the page's address; "": all frames, by frame.
  address() {
    const by = $("by-time").checked ? "time" : "frame";
    if (this.ranges.whole) return by === "time" ? by : "";
    const { from, to } = this.ranges.wanted;
    return `${by}:${from}-${to}`;
  }

  // The same numbers mean other frames by time.
  align() {
    this.whole();
    this.onChange();
    return this.load();
  }

  whole() {
    this.ranges.forget();
    Object.assign(this.view, { from: null, to: null });
  }

  // How many frames of the first run the longest one takes.
  get length() {
    return Math.max(0, ...this.ticks.map(({ header }, index) => Math.round(header.n * this.scale(index))));
  }

  // Frames of the first run for one of another.
  scale(index) {
    if (!this.timed) return 1;
    return this.ticks[index].header.frame_time_s / this.ticks[0].header.frame_time_s;
  }

  get timed() {
    return $("by-time").checked && this.ticks.length > 0 && this.ticks.every(({ header }) => header.frame_time_s);
  }

  async load() {
    this.asked += 1;
    const { asked } = this;
    $("overlay-whole").disabled = this.ranges.whole && document.activeElement !== $("overlay-whole");
    try {
      const ticks = await Promise.all(this.keys.map((key, index) => askTick(seriesPath(key, "/trace", { px: PX, ...this.rangeOf(index) }))));
      if (asked !== this.asked) return;
      this.ticks = ticks;
      $("by-time").disabled = !ticks.every(({ header }) => header.frame_time_s);
      if ($("by-time").disabled) $("by-frame").checked = true;
      const { names } = this;
      await this.draw((axis) => traces(axis, ticks, names, this.scene));
    } catch (error) {
      if (asked === this.asked) this.onProblem(error);
    }
  }

  // What a run has in the range shown, in its own frames.
  rangeOf(index) {
    if (this.ranges.whole) return {};
    const { from, to } = this.ranges.wanted;
    const scale = this.scale(index);
    return { from: Math.floor(from / scale), to: Math.ceil(to / scale) };
  }

  // Of a frame of the first run, in units of the x axis.
  get second() {
    return this.timed ? this.ticks[0].header.frame_time_s : 1;
  }

  get scene() {
    const { from, to } = this.ranges.wanted;
    return { timed: this.timed, span: [from - 0.5, to - 0.5].map((frame) => frame * this.second) };
  }

  onFirst() {
    this.onZoom({
      onRange: (from, to) => this.length && this.ranges.showBetween(from / this.second, to / this.second, this.length),
      onAll: () => this.ranges.show(null, null),
    });
  }
}
