// The main plot: raw above detrended, between them a strip of gaps and events. Each is
// a figure of its own, drawn in a task of its own: together they would take too long.

import { fullRange, robustRange, steppedEnd } from "./axes.js";
import { KIND_WORDS } from "./format.js";
import { PANELS, PanelPlot } from "./panel-plot.js";
import { Queue } from "./queue.js";
import { saveImage } from "./save-image.js";
import { StripPlot } from "./strip.js";
import { nextTask } from "./task.js";

const AT_ONCE_MS = 100;
const GROWING = ["collecting", "settling", "stalled"];
const EMPTY = { frame: [], raw: [], det: [], alone: [], hole_first: [], late_first: [] };

export class Plots {
  // view: with y (robust, full, fixed), half, axis and layout; ranges: which frames are wanted.
  constructor(element, view, ranges) {
    Object.assign(this, { element, view, ranges });
    this.parts = []; // made when they are first drawn
    this.queue = new Queue(() => this.redrawNow());
    this.tick = null;
    this.reference = null;
    this.events = [];
    this.found = { events: [], intervals: [] };
  }

  clear() {
    this.tick = null;
    return this.redraw();
  }

  setEvents(events) {
    this.events = events;
  }

  // What the analysis found: events, and the intervals that do not count.
  setFound(found) {
    this.found = found;
    return this.redraw();
  }

  // { blocks, name } of another series, drawn behind; null: none.
  setReference(reference) {
    this.reference = reference;
    return this.redraw();
  }

  draw(tick) {
    this.tick = tick;
    return this.redraw();
  }

  redraw() {
    return this.queue.ask();
  }

  // Moves the axes to the frames wanted; not if these come at once, which is drawn anyway.
  async aim() {
    await new Promise((done) => setTimeout(done, AT_ONCE_MS));
    const { from, to } = this.ranges.wanted;
    const header = this.tick?.header;
    if (header && (header.from !== from || header.to !== to)) await this.redraw();
  }

  async redrawNow() {
    if (!this.parts.length) this.build();
    this.element.dataset.layout = this.view.layout;
    const scene = this.scene();
    for (const part of this.parts) {
      await part.show(scene);
      await nextTask();
    }
  }

  // Whether Plotly has drawn; until then there are sketches.
  get drawn() {
    return this.parts.length > 0 && this.parts.every((part) => part.drawn || part.width === 0);
  }

  // After an error: what is there may be half of a figure.
  drop(text) {
    this.parts = [];
    this.element.replaceChildren(failure(text));
  }

  // For as long as the page is open.
  warn(text) {
    this.element.before(failure(text));
  }

  build() {
    const boxes = ["raw", "strip", "detrended"].map((name) => {
      const box = document.createElement("div");
      box.className = `part ${name}`;
      return box;
    });
    this.element.replaceChildren(...boxes);
    const [raw, strip, detrended] = boxes;
    const on = { onRange: (from, to) => this.ranged(from, to), onAll: () => this.ranges.show(null, null) };
    this.parts = [
      new PanelPlot(raw, PANELS[0], on), new PanelPlot(detrended, PANELS[1], on), new StripPlot(strip, on),
    ];
  }

  // All that a part may draw.
  scene() {
    const header = this.tick?.header ?? null;
    const blocks = this.tick?.blocks ?? EMPTY;
    const overlaid = this.view.layout === "overlaid";
    const ranges = Object.fromEntries(PANELS.map(({ block }) => [block, this.valueRange(block)]));
    if (overlaid) ranges.det = [Math.min(ranges.raw[0], ranges.det[0]), Math.max(ranges.raw[1], ranges.det[1])];
    return {
      header, blocks, reference: this.reference, events: this.events, found: this.found, overlaid, ranges,
      span: header ? this.span(header) : [0, 100],
      frameTime: this.frameTime, word: KIND_WORDS[header?.kind] ?? "",
    };
  }

  valueRange(block) {
    if (!this.tick) return [0, 2];
    const { header, blocks } = this.tick;
    if (this.view.y === "fixed") {
      const middle = header.unit === "counts" ? header.mean ?? 1 : 1;
      return [middle * (1 - this.view.half / 100), middle * (1 + this.view.half / 100)];
    }
    const values = blocks[block];
    return this.view.y === "robust" ? robustRange(header.quartiles[block], values) : fullRange(values);
  }

  // Of the frames wanted, which may not have come yet.
  span(header) {
    const { from, to } = this.ranges.wanted;
    if (from > 0 || to < header.n) return [from - 0.5, to - 0.5];
    const end = GROWING.includes(header.source) ? steppedEnd(header.n, header.n_total) : header.n;
    return [-0.5, Math.max(end, 10) - 0.5];
  }

  zoomed(header) {
    return header.from > 0 || header.to < header.n;
  }

  // The x axis tells time where that was chosen and the frame time is known.
  get frameTime() {
    return this.view.axis === "time" ? this.tick?.header.frame_time_s ?? null : null;
  }

  ranged(from, to) {
    if (!this.tick) return;
    this.ranges.showBetween(from, to, this.tick.header.n);
  }

  async save(name) {
    if (!this.drawn) throw new Error("the plot is not drawn yet");
    const { word } = this.scene();
    const [raw, detrended, strip] = this.parts.map((part) => part.element);
    const seen = [raw, strip, detrended].filter((figure) => figure.clientWidth > 0);
    return saveImage(seen, word, name);
  }
}

function failure(text) {
  const message = document.createElement("p");
  message.className = "failed";
  message.textContent = text;
  return message;
}
