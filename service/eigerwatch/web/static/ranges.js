// Which frames are wanted in the plot: zooming, panning, going back, from event to event.

import { say } from "./toast.js";

const KEPT = 100; // ranges to go back to
const EVENT_MARGIN = 200; // frames shown on either side of a picked event

export class Ranges {
  // view: as in url.js; length() -> how many frames there are to show; onRange(from, to):
  // the frames from ... to - 1 shall be shown; (null, null): all.
  constructor({ view, length, onRange }) {
    Object.assign(this, { view, length, onRange });
    this.past = [];
  }

  get whole() {
    return this.view.from === null && this.view.to === null;
  }

  // What is asked for of the frames there are. A tick may still be of other frames.
  get wanted() {
    return this.clipped(this.length());
  }

  // As the server does it, for a series of n frames.
  clipped(n) {
    if (this.whole || !n) return { from: 0, to: n };
    const from = Math.min(this.view.from ?? 0, n - 1);
    return { from, to: Math.max(from + 1, Math.min(this.view.to ?? n, n)) };
  }

  // What a decision about the range would be about; null: no frames were chosen.
  get chosen() {
    const { from, to } = this.wanted;
    return to - from < this.length() ? { first: from, last: to - 1 } : null;
  }

  // noted: whether one can come back to what was shown before.
  show(from, to, noted = true) {
    if (from === this.view.from && to === this.view.to) return;
    if (noted) this.note();
    this.onRange(from, to);
  }

  note() {
    this.past.push({ from: this.view.from, to: this.view.to });
    if (this.past.length > KEPT) this.past.shift();
  }

  // Of another series the same numbers mean other frames.
  forget() {
    this.past = [];
  }

  back() {
    const { view } = this;
    let before = null;
    do before = this.past.pop(); while (before && before.from === view.from && before.to === view.to);
    if (before) this.show(before.from, before.to, false);
    else say("No other frames were shown before");
  }

  // Frames of a series of n that lie on an axis between two places.
  showBetween(from, to, n) {
    const first = Math.max(0, Math.min(n - 1, Math.ceil(from)));
    this.show(first, Math.max(first + 1, Math.min(n, Math.floor(to) + 1)));
  }

  // What keys do; noted: not for one that is held down.
  get keys() {
    return {
      r: () => this.show(null, null),
      "+": (noted) => this.zoom(1 / 2, noted),
      "=": (noted) => this.zoom(1 / 2, noted), // the same key without Shift
      "-": (noted) => this.zoom(2, noted),
      arrowleft: (noted) => this.pan(-1, noted),
      arrowright: (noted) => this.pan(1, noted),
      backspace: () => this.back(),
      b: () => this.back(),
    };
  }

  // About the middle. noted: not for a key that is held down.
  zoom(factor, noted) {
    const { from, to } = this.wanted;
    const width = Math.max(1, Math.round((to - from) * factor));
    if (width >= this.length()) this.show(null, null, noted);
    else if (width !== to - from) this.place((from + to - width) / 2, width, noted);
  }

  // By a quarter of what is shown: to the left (-1) or to the right (1).
  pan(direction, noted) {
    const { from, to } = this.wanted;
    const width = to - from;
    this.place(from + direction * Math.max(1, Math.round(width / 4)), width, noted);
  }

  // Within the series, however far from it was meant.
  place(from, width, noted) {
    const first = Math.max(0, Math.min(Math.round(from), this.length() - width));
    const { wanted } = this;
    if (first === wanted.from && first + width === wanted.to) return;
    this.show(first, first + width, noted);
  }

  // What was found, with some frames on either side.
  around(first, last) {
    const margin = Math.max(EVENT_MARGIN, Math.round((last - first) / 4));
    this.show(Math.max(0, first - margin), last + margin + 1);
  }

  // The found event to the left (-1) or right (1) of the range shown.
  step(direction, found) {
    if (!this.length()) return;
    const { from, to } = this.wanted;
    const end = direction > 0 ? -1 : to;
    const event = found.beside(this.whole ? end : (from + to - 1) / 2, direction);
    if (event) this.around(event.first, event.first);
  }
}
