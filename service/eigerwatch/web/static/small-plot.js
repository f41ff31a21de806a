// A small plot below the large one: of an answer of the server.

import { Plot } from "./plot.js";

// Subclasses say traces() and axes(axis), what differs from the usual layout; both of
// this.told, which may be null.
export class SmallPlot extends Plot {
  constructor(element) {
    super(element);
    this.told = null;
  }

  show(told) {
    this.told = told;
    return this.redraw();
  }

  figure() {
    if (!this.told && !this.drawn) return null;
    return { traces: this.traces(), layout: this.axes((title, more) => this.axis(title, more)) };
  }
}
