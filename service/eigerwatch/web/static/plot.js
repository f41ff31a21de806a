// A figure of Plotly in an element: drawn again with another size or theme.
// SVG only: a control-room PC without GPU has no WebGL.

import { colour } from "./figures.js";
import { Queue } from "./queue.js";

const CONFIG = { displayModeBar: false, doubleClick: false, responsive: false, showTips: false };
const NOTHING = [{ type: "scatter", x: [], y: [] }]; // without a trace there are no axes

// Subclasses say figure() -> { traces, layout }; null: there is nothing to draw yet.
export class Plot {
  constructor(element) {
    this.element = element;
    this.drawn = false;
    // Plotly's calls end later than they return.
    this.queue = new Queue(() => this.drawNow());
    this.width = element.clientWidth;
    this.height = element.clientHeight;
    new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = element;
      if (width === this.width && height === this.height) return;
      Object.assign(this, { width, height });
      this.redraw().catch(() => {});
    }).observe(element);
  }

  // Rejects where Plotly cannot draw.
  redraw() {
    return this.queue.ask();
  }

  async drawNow() {
    const figure = globalThis.Plotly && this.width > 0 ? this.figure() : null;
    if (!figure) return;
    const first = !this.drawn;
    if (first) this.element.replaceChildren();
    this.drawn = true;
    // Plotly takes a millisecond for a trace, with points or without.
    const traces = figure.traces.filter((trace) => trace.x.length > 0);
    const layout = { ...this.shared(), ...figure.layout };
    await Plotly.react(this.element, traces.length ? traces : NOTHING, layout, CONFIG);
    if (first) this.onFirst?.();
  }

  // What was dragged over, in units of the x axis; and a double click.
  onZoom({ onRange, onAll }) {
    this.element.on("plotly_relayout", (change) => {
      const from = change["xaxis.range[0]"] ?? change["xaxis.range"]?.[0];
      const to = change["xaxis.range[1]"] ?? change["xaxis.range"]?.[1];
      if (from !== undefined && to !== undefined) onRange(from, to);
    });
    this.element.on("plotly_doubleclick", () => onAll());
  }

  // Of labels [px].
  get size() {
    return this.width > 900 ? 14 : 12;
  }

  // What all layouts have. Sizes are told: finding them out would lay out the page.
  shared() {
    const { size, width, height } = this;
    const text = colour("--text");
    return {
      width, height, showlegend: false, hovermode: "closest", dragmode: false, uirevision: "same",
      margin: { l: size * 5.4, r: 14, t: size, b: size * 3.4 }, separators: ".\u202f",
      paper_bgcolor: colour("--panel"), plot_bgcolor: colour("--panel"),
      font: { color: text, size, family: "system-ui, sans-serif" },
      hoverlabel: { bgcolor: colour("--panel"), font: { color: text, size }, namelength: -1 },
    };
  }

  // An axis that cannot be dragged. Its type is told: else all values are looked at.
  axis(title, more = {}) {
    const grid = colour("--grid");
    const { size } = this;
    return {
      type: "linear", gridcolor: grid, linecolor: grid, zeroline: false, fixedrange: true, tickfont: { size },
      title: { text: title, standoff: 5, font: { size } }, ...more,
    };
  }
}
