// How often each intensity occurs, beside what counting photons alone would give.

import { Panel, ask, seriesPath } from "./api.js";
import { colour, set } from "./figures.js";
import { SmallPlot } from "./small-plot.js";

const EVERY_MS = 6000;
const HEADROOM = 1.15; // over the tallest bar; the curve may leave the plot above
const $ = (id) => document.getElementById(id);

export class HistogramPanel extends SmallPlot {
  // wanted() -> { series, channel, region, unit, scope..., version } or null.
  constructor({ wanted }) {
    super($("histogram-plot"));
    this.panel = new Panel($("histogram-panel"), {
      everyMs: EVERY_MS,
      wanted,
      load: async ({ series, version: _, ...query }, fresh) => {
        const told = await ask(seriesPath(series, "/histogram", { ...query, recent: !fresh }));
        return () => this.show(told);
      },
      clear: () => this.show(null),
      failed: (text) => set("histogram-problem", text),
    });
  }

  show(told) {
    set("histogram-text", told ? told.text : "");
    const region = told?.region ? `Of region ${told.region}: ` : "Of ";
    set("histogram-usage", told ? `${region}${told.usage_text}` : "");
    return super.show(told);
  }

  traces() {
    const { edges = [], raw = [], detrended = [], curve_x: x = [], curve_y: y = [], unit } = this.told ?? {};
    const value = unit === "counts" ? "%{x:,.0f} counts" : "%{x:.5f} of the mean";
    const width = edges.length > 1 ? edges[1] - edges[0] : 1;
    return [
      {
        type: "bar", name: "detrended", x: edges.slice(0, -1), y: detrended, offset: 0, width,
        marker: { color: colour("--det"), opacity: 0.6, line: { width: 0 } },
        hovertemplate: `detrended, from ${value}<br>%{y:,d} frames<extra></extra>`,
      },
      {
        type: "scatter", mode: "lines", name: "raw", x: edges, y: [...raw, ...raw.slice(-1)],
        line: { color: colour("--raw"), width: 1.4, shape: "hv" },
        hovertemplate: `raw, from ${value}<br>%{y:,d} frames<extra></extra>`,
      },
      {
        type: "scatter", mode: "lines", name: "pure counting", x, y,
        line: { color: colour("--text"), width: 1.6, dash: "dash" },
        hovertemplate: `pure counting, ${value}<br>%{y:,.1f} frames<extra></extra>`,
      },
    ];
  }

  axes(axis) {
    const { edges = [], raw = [], detrended = [], unit } = this.told ?? {};
    const { size } = this;
    const top = HEADROOM * Math.max(1, ...raw, ...detrended);
    const span = edges.length ? [edges[0], edges.at(-1)] : [0, 2];
    return {
      barmode: "overlay", bargap: 0, showlegend: true,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", itemclick: false, itemdoubleclick: false },
      margin: { l: size * 5.4, r: 14, t: size * 2.4, b: size * 3.4 },
      xaxis: axis(unit === "counts" ? "counts per frame" : "intensity / mean", {
        nticks: 7, range: span, tickformat: unit === "counts" ? ",d" : "~r",
      }),
      yaxis: axis("frames", { nticks: 7, range: [0, top], tickformat: "~s" }),
    };
  }
}
