// The whole series in small, while the plot shows a part of it: a window that is dragged.

import { Panel, askTick, seriesPath } from "./api.js";
import { fullRange } from "./axes.js";
import { integer } from "./format.js";
import { pathOf } from "./sketch.js";

const EVERY_MS = 5000;
const PX = 250;
const WIDTH = 1000; // units of the drawing, stretched over the element
const HEIGHT = 100;
const SVG = "http://www.w3.org/2000/svg";

export class Overview {
  // ranges: which frames are shown; wanted() -> { series, channel, region, version } or null.
  constructor(element, { ranges, wanted }) {
    Object.assign(this, { element, ranges });
    const shape = (name, className) => {
      const made = document.createElementNS(SVG, name);
      made.setAttribute("class", className);
      return made;
    };
    const svg = shape("svg", "whole");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    this.curve = shape("path", "curve");
    this.frame = shape("rect", "window");
    this.frame.setAttribute("height", HEIGHT);
    svg.append(this.curve, this.frame);
    element.append(svg);
    this.held = null; // { from: first frame of the window, grip: frames from there to the pointer }
    for (const [event, act] of [["pointerdown", "hold"], ["pointermove", "move"], ["pointerup", "drop"], ["pointercancel", "drop"]]) {
      element.addEventListener(event, (pointer) => this[act](pointer));
    }
    this.panel = new Panel(element, {
      everyMs: EVERY_MS,
      always: true,
      wanted: () => (this.ranges.whole ? null : wanted()),
      load: async ({ version: _, series, ...query }) => {
        const tick = await askTick(seriesPath(series, "/trace", { ...query, px: PX }));
        return () => this.draw(tick);
      },
      clear: () => this.curve.removeAttribute("d"),
      failed: () => {}, // the window can be moved all the same
    });
  }

  // Where the window is; nothing is there to see of the whole series.
  place() {
    const { ranges, element } = this;
    const n = ranges.length();
    element.hidden = ranges.whole || !n;
    if (element.hidden) return;
    const { from, to } = ranges.wanted;
    const first = this.held?.from ?? from;
    this.frame.setAttribute("x", ((WIDTH * first) / n).toFixed(1));
    this.frame.setAttribute("width", Math.max(2, (WIDTH * (to - from)) / n).toFixed(1));
    element.setAttribute("aria-valuemax", String(Math.max(0, n - 1)));
    element.setAttribute("aria-valuenow", String(from));
    element.setAttribute("aria-valuetext", `frames ${integer(from)} to ${integer(to - 1)} of ${integer(n)}`);
  }

  draw({ header, blocks: { frame, raw } }) {
    const [low, high] = fullRange(raw);
    const n = Math.max(1, header.n);
    const x = (k) => (WIDTH * k) / n;
    const y = (value) => (HEIGHT * (high - value)) / (high - low);
    this.curve.setAttribute("d", pathOf(frame, raw, x, y));
  }

  // The frame under the pointer.
  at({ clientX }) {
    const { left, width } = this.element.getBoundingClientRect();
    return ((clientX - left) / width) * this.ranges.length();
  }

  hold(pointer) {
    if (pointer.button !== 0) return;
    const { from, to } = this.ranges.wanted;
    const at = this.at(pointer);
    const inside = at >= from && at <= to;
    this.held = { from, grip: inside ? at - from : (to - from) / 2 };
    this.element.setPointerCapture(pointer.pointerId);
    this.move(pointer);
  }

  move(pointer) {
    if (!this.held) return;
    const { from, to } = this.ranges.wanted;
    const most = this.ranges.length() - (to - from);
    this.held.from = Math.round(Math.max(0, Math.min(most, this.at(pointer) - this.held.grip)));
    this.place();
  }

  drop() {
    if (!this.held) return;
    const { from, to } = this.ranges.wanted;
    const { from: first } = this.held;
    this.held = null;
    this.ranges.place(first, to - from, true);
    this.place();
  }
}
