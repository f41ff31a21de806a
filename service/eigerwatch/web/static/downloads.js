// Links to files: of the frames shown, the table of those that the statistics are about.

import { set } from "./figures.js";
import { integer } from "./format.js";

const $ = (id) => document.getElementById(id);

// header: of the tick shown, or null.
export function showDownloads(view, header) {
  const zoomed = header && (view.from !== null || view.to !== null);
  const shown = zoomed ? { from: header.from, to: header.to } : {};
  set("download-of", zoomed ? `frames ${integer(header.from)} to ${integer(header.to - 1)}` : "whole series");
  const files = {
    "get-table": ["download.csv", { content: "table", region: true, ...counted(view, header?.stats) }],
    "get-frames": ["download.csv", { content: "frames", region: true, ...shown }],
    "get-html": ["download.html", { region: true, ...shown }],
    "get-nexus": ["download.nxs", {}],
    "get-report": ["report.html", shown],
    "get-pdf": ["report.pdf", shown],
  };
  // Those that hold more than what is shown say so.
  const image = header?.region ? ", whole image" : "";
  set("get-nexus", `NeXus${zoomed ? ", whole series" : ""}${image}`);
  set("get-report", `Report HTML${image}`);
  set("get-pdf", `Report PDF${image}`);
  for (const [id, [name, { region, ...choices }]] of Object.entries(files)) {
    link($(id), header && address(header, name, { ...choices, ...(region && header.region ? { region: header.region } : {}) }));
  }
}

// The frames of the statistics; of the whole series none are named, so that it may grow.
function counted(view, stats) {
  if (view.scope === "whole" || !stats || stats.first === null) return {};
  return { from: stats.first, to: stats.newest + 1 };
}

function address({ series, channel }, name, choices) {
  const query = new URLSearchParams({ channel, ...choices });
  return `/api/v1/series/${encodeURIComponent(series)}/${name}?${query}`;
}

function link(element, href) {
  if (!href) element.removeAttribute("href");
  else if (element.getAttribute("href") !== href) element.href = href;
}
