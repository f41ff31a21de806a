// A small plot below the large one: drawn one after the other, in the colours of the theme.

import { colour } from "./figures.js";

const CONFIG = { displayModeBar: false, responsive: false, showTips: false };

// Subclasses say traces() and axes(axis, title), what differs from the usual layout.
export class SmallPlot {
  constructor(element) {
    this.element = element;
    this.told = null;
    this.drawn = false;
    this.queue = Promise.resolve();
    new ResizeObserver(() => {
      if (this.drawn && element.clientWidth > 0) this.redraw();
    }).observe(element);
  }

  show(told) {
    this.told = told;
    return this.redraw();
  }

  redraw() {
    if (!globalThis.Plotly || (!this.told && !this.drawn) || !this.element.clientWidth) return this.queue;
    this.queue = this.queue.catch(() => {}).then(async () => {
      if (!this.drawn) this.element.replaceChildren();
      await Plotly.react(this.element, this.traces(), this.layout(), CONFIG);
      this.drawn = true;
    });
    return this.queue;
  }

  get size() {
    return this.element.clientWidth > 900 ? 14 : 12;
  }

  layout() {
    const { size } = this;
    const text = colour("--text");
    const grid = colour("--grid");
    const axis = { gridcolor: grid, linecolor: grid, zeroline: false, fixedrange: true, tickfont: { size } };
    const title = (words) => ({ font: { size }, standoff: 4, text: words });
    return {
      autosize: true, showlegend: false, hovermode: "closest", dragmode: false, uirevision: "same",
      margin: { l: size * 5.4, r: 14, t: size, b: size * 3.4 },
      paper_bgcolor: colour("--panel"), plot_bgcolor: colour("--panel"),
      font: { color: text, size, family: "system-ui, sans-serif" },
      hoverlabel: { bgcolor: colour("--panel"), font: { color: text, size } },
      ...this.axes(axis, title),
    };
  }
}
