"use strict";
(() => {
  const MAX_POINTS = 4000;
  const MARKED_FRAMES = 400; // below this many frames each one gets a marker
  const RAW = "#0072b2";
  const DETRENDED = "#b84e00";

  const setup = JSON.parse(document.getElementById("setup").textContent);
  const { first, offset, scale, slope, centre } = setup;
  const values = decode(document.getElementById("values").textContent);
  const wholeRange = [first - 0.5, first + Math.max(values.length, 1) - 0.5];
  const plot = document.getElementById("plot");

  function decode(text) {
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
    return new Float32Array(bytes.buffer); // little-endian, as every browser's host
  }

  // The same envelope as on the server: bins anchored to frame numbers, the smallest
  // and the largest frame of each, NaN between bins where frames are missing.
  function envelope(from, to, width, trend) {
    const points = { x: [], y: [], counts: [], aloneX: [], aloneY: [], aloneCounts: [] };
    let bin = -1, low = -1, high = -1, newest = -1, lowValue = 0, highValue = 0;
    let binOpens = -1, binCloses = -1; // what is drawn of the bin before, as indices
    let linePoints = 0, shortestGap = 1;
    const value = (i) => offset + values[i] - trend * (first + i - centre);
    const push = (i) => {
      const counts = value(i);
      points.x.push(first + i);
      points.y.push(counts / scale);
      points.counts.push(counts);
      linePoints += 1;
    };
    const firstMissing = (start, stop) => {
      for (let i = start; i < stop; i++) if (Number.isNaN(values[i])) return i;
      return -1;
    };
    const endLine = () => {
      if (linePoints === 1) {
        points.aloneX.push(points.x.at(-1));
        points.aloneY.push(points.y.at(-1));
        points.aloneCounts.push(points.counts.at(-1));
      }
      linePoints = 0;
    };
    const flush = () => {
      if (low < 0) return;
      const other = low === high ? newest : high; // a constant piece keeps both ends
      const opens = Math.min(low, other);
      if (binOpens >= 0 && firstMissing(binOpens, opens) >= 0) {
        const missing = firstMissing(binCloses, opens);
        endLine();
        points.x.push(missing < 0 ? bin * width : Math.min(first + missing, bin * width));
        points.y.push(NaN);
        points.counts.push(NaN);
      }
      binOpens = opens;
      binCloses = Math.max(low, other);
      push(binOpens);
      if (binCloses !== binOpens) push(binCloses);
      if (firstMissing(binOpens, binCloses) >= 0) shortestGap = width;
    };
    for (let i = from; i <= to; i++) {
      if (Number.isNaN(values[i])) continue;
      const itsBin = Math.floor((first + i) / width);
      if (itsBin !== bin) {
        flush();
        low = -1;
        bin = itsBin;
      }
      const here = value(i);
      const opens = low < 0;
      if (opens || here < lowValue) [low, lowValue] = [i, here];
      if (opens || here > highValue) [high, highValue] = [i, here];
      newest = i;
    }
    flush();
    endLine();
    return { points, width, shortestGap };
  }

  function fittingEnvelope(from, to, trend) {
    let stored = 0, width = 1;
    for (let i = from; i <= to; i++) stored += Number.isNaN(values[i]) ? 0 : 1;
    while (Math.min(width, 2) * Math.ceil(stored / width) > MAX_POINTS) width *= 2;
    for (;;) {
      const found = envelope(from, to, width, trend);
      if (found.points.x.length <= MAX_POINTS) return found;
      width *= 2;
    }
  }

  function told({ width, shortestGap }) {
    if (width === 1) return "every stored frame drawn";
    const gaps = shortestGap === 1 ? ""
      : `; gaps of fewer than ${shortestGap} frames break the line once per ${width}`;
    return `smallest and largest of every ${width} frames drawn${gaps}`;
  }

  function visible(range) {
    const margin = Math.ceil((range[1] - range[0]) / 1000) + 1; // lines reach the edge
    return [
      Math.max(0, Math.floor(range[0]) - margin - first),
      Math.min(values.length - 1, Math.ceil(range[1]) + margin - first),
    ];
  }

  function series(range) {
    const [from, to] = visible(range);
    const raw = fittingEnvelope(from, to, 0);
    const detrended = fittingEnvelope(from, to, slope);
    const shown = Math.max(0, to - from + 1);
    document.getElementById("drawn").textContent = told(raw);
    return {
      x: [raw.points.x, detrended.points.x, raw.points.aloneX, detrended.points.aloneX],
      y: [raw.points.y, detrended.points.y, raw.points.aloneY, detrended.points.aloneY],
      customdata: [raw.points.counts, detrended.points.counts,
        raw.points.aloneCounts, detrended.points.aloneCounts],
      mode: shown <= MARKED_FRAMES
        ? ["lines+markers", "lines+markers", "markers", "markers"]
        : ["lines", "lines", "markers", "markers"],
    };
  }

  function traces(data) {
    const hover = "frame %{x:,~f}<br>%{customdata:,.2~f} counts" +
      (setup.normalised ? "<br>%{y:.5f} of the mean" : "");
    const style = (i, name, color, yaxis, size) => ({
      type: "scatter", name, yaxis, x: data.x[i], y: data.y[i],
      customdata: data.customdata[i], mode: data.mode[i], hovertemplate: hover,
      line: { color, width: 1 }, marker: { color, size }, showlegend: false,
    });
    return [
      style(0, "raw", RAW, "y", 4),
      style(1, "detrended", DETRENDED, "y2", 4),
      style(2, "raw", RAW, "y", 5),
      style(3, "detrended", DETRENDED, "y2", 5),
      {
        type: "scatter", mode: "lines", name: "least-squares line", yaxis: "y",
        showlegend: true,
        x: setup.line.x, y: setup.line.y, hoverinfo: "skip",
        line: { color: "#1a1a1a", width: 1.5, dash: "dash" },
      },
    ];
  }

  function yaxis(title, range, domain) {
    return {
      title: { text: title, standoff: 8 }, range, domain, automargin: true,
      zeroline: false, gridcolor: "#e3e3e3", linecolor: "#6b6b6b", showline: true,
      hoverformat: ".5f", exponentformat: "power",
    };
  }

  const unit = setup.normalised ? "/ mean" : "[counts]";
  const layout = {
    margin: { l: 70, r: 16, t: 34, b: 48 },
    font: { family: "system-ui, sans-serif", size: 13, color: "#1a1a1a" },
    separators: ".\u202f",
    hovermode: "closest",
    dragmode: "zoom",
    legend: { orientation: "h", x: 0, y: 1.01, yanchor: "bottom" },
    xaxis: {
      title: { text: "frame" }, anchor: "y2", range: wholeRange.slice(),
      minallowed: wholeRange[0], maxallowed: wholeRange[1], tickformat: ",~f",
      gridcolor: "#e3e3e3", zeroline: false, linecolor: "#6b6b6b", showline: true,
    },
    yaxis: yaxis(`raw ${unit}`, setup.full.raw, [0.53, 1]),
    yaxis2: yaxis(`detrended ${unit}`, setup.full.detrended, [0, 0.47]),
  };
  const config = {
    responsive: true, displaylogo: false, doubleClick: "reset",
    modeBarButtonsToRemove: ["autoScale2d", "select2d", "lasso2d"],
    showTips: false, showSendToCloud: false, plotlyServerURL: "", // nothing leaves
    toImageButtonOptions: { filename: "frame-sums", scale: 2 },
  };

  function press(chosen) {
    for (const name of ["full", "bulk"])
      document.getElementById(name).setAttribute("aria-pressed", String(name === chosen));
  }

  function scaleTo(name, range) {
    press(name);
    const update = {
      "yaxis.range": setup[name].raw.slice(),
      "yaxis2.range": setup[name].detrended.slice(),
    };
    if (range) update["xaxis.range"] = range;
    Plotly.relayout(plot, update);
  }

  Plotly.newPlot(plot, traces(series(wholeRange)), layout, config).then(() => {
    plot.on("plotly_relayout", (change) => {
      if (!Object.keys(change).some((key) => key.startsWith("xaxis."))) return;
      Plotly.restyle(plot, series(plot.layout.xaxis.range.map(Number)), [0, 1, 2, 3]);
    });
  });
  document.getElementById("full").addEventListener("click", () => scaleTo("full"));
  document.getElementById("bulk").addEventListener("click", () => scaleTo("bulk"));
  document.getElementById("reset").addEventListener("click",
    () => scaleTo("full", wholeRange.slice()));
})();
