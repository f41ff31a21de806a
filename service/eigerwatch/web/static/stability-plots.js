// The two plots of stability over time: averaging time, and the spectrum by time.

import { colour } from "./figures.js";
import { SmallPlot } from "./small-plot.js";

const NO_GAP = 1e-6; // without any the image gets inline styles, which our policy forbids

export class AllanPlot extends SmallPlot {
  traces() {
    const told = this.told ?? { tau: [], deviation: [], low: [], high: [], shot: [], unit: "s" };
    const x = told.tau;
    const base = { type: "scatter", mode: "lines", x };
    const edge = { ...base, line: { width: 0 }, hoverinfo: "skip" };
    return [
      { ...edge, name: "low", y: told.low },
      { ...edge, name: "95 %", y: told.high, fill: "tonexty", fillcolor: colour("--shade") },
      {
        ...base, name: "deviation", mode: "lines+markers", y: told.deviation,
        line: { color: colour("--raw"), width: 1.6 }, marker: { color: colour("--raw"), size: 5 },
        hovertemplate: `%{x:.3~g} ${told.unit}<br>%{y:.3~g} %<extra></extra>`,
      },
      {
        ...base, name: "shot noise", y: told.shot, hoverinfo: "name",
        line: { color: colour("--text"), width: 1.3, dash: "dash" },
      },
    ];
  }

  axes(axis) {
    // No powers as superscripts: they have inline styles.
    const log = { type: "log", dtick: 1, tickformat: "~g" };
    return {
      xaxis: axis(`averaged over (${this.told?.unit ?? "s"})`, log),
      yaxis: axis("Allan deviation (%)", log),
    };
  }
}

export class SpectrogramPlot extends SmallPlot {
  traces() {
    const told = this.told ?? { times: [], frequencies: [], level: [], low: 0, high: 1 };
    return [{
      type: "heatmap", name: "spectrogram", x: told.times, y: told.frequencies, z: told.level,
      zmin: told.low, zmax: told.high, zsmooth: false, xgap: NO_GAP, colorscale: "Cividis", hoverongaps: false,
      hovertemplate: "%{x:.4~g}<br>%{y:.4~g}<br>10^%{z}<extra></extra>",
      showscale: false, // Plotly's own has inline styles
    }];
  }

  get unit() {
    return this.told?.unit === "per frame" ? "per frame" : "Hz";
  }

  axes(axis) {
    const timed = this.unit === "Hz";
    return { xaxis: axis(timed ? "time (s)" : "frame"), yaxis: axis(`frequency (${this.unit})`) };
  }
}
