// Facts and the statistics table: texts from a tick's header.

import { age, counts, fixed, integer, moment } from "./format.js";

const ROWS = ["count", "mean", "std", "CV%", "min", "25%", "50%", "75%", "max"];
const PROGRESS_MAX = 1000;
const colours = new Map();
const $ = (id) => document.getElementById(id);

export function set(id, text) {
  const element = typeof id === "string" ? $(id) : id;
  if (element.textContent !== text) element.textContent = text;
}

// Of the theme. Kept: asking the page for its styles makes it work them out.
export function colour(name) {
  const key = `${document.documentElement.dataset.theme} ${name}`;
  if (!colours.has(key)) {
    const styles = getComputedStyle(document.documentElement);
    colours.set(key, styles.getPropertyValue(name).trim());
  }
  return colours.get(key);
}

export function makeTable() {
  for (const name of ROWS) {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head, document.createElement("td"), document.createElement("td"));
    $("table").append(row);
  }
}

// dark: why there is no beam just now, or null: then no CV means anything.
export function showTable(stats, dark = null) {
  const rows = $("table").rows;
  ROWS.forEach((name, index) => {
    for (const [cell, values] of [[1, stats?.raw], [2, stats?.det]]) {
      const value = values ? values[index] : null;
      const text = name === "count" ? integer(value) : name === "CV%" ? fixed(dark === null ? value : null, 4) : counts(value);
      set(rows[index].cells[cell], text);
    }
  });
  if (!stats) return set("scope-text", "");
  const span = stats.first === null ? "no stored frame"
    : `frames ${integer(stats.first)} to ${integer(stats.newest)}`;
  const { cv_shot_percent: shot, cv_beam_percent: beam } = stats.shot;
  const above = `shot-noise limit ${fixed(shot, 4)} %, above it ${fixed(beam, 4)} %`;
  set("scope-text", `${span}; ${dark === null ? above : "no beam, no CV"}`);
}

// live: whether rate and lag mean anything now.
export function showFacts(header, live, lagMs) {
  const ledger = header?.ledger;
  const total = header?.n_total;
  set("frames", header ? integer(header.n) + (total ? ` / ${integer(total)}` : "") : "–");
  const progress = $("progress");
  progress.hidden = !total;
  if (total) {
    progress.max = PROGRESS_MAX;
    progress.value = Math.min(PROGRESS_MAX, (PROGRESS_MAX * header.n) / total);
  }
  set("rate", live && header?.rate_hz ? integer(header.rate_hz) : "–");
  set("lag", live && header && lagMs !== null ? integer(lagMs) : "–");
  for (const name of ["missing", "rejected", "outstanding"]) {
    set(name, ledger ? integer(ledger[name]) : "–");
    $(name).classList.toggle("bad", name !== "outstanding" && Boolean(ledger?.[name]));
  }
  $("late-shown").hidden = !ledger?.late;
  set("late", integer(ledger?.late));
}

export function showNewest(header, serverNowMs) {
  if (!header?.t_newest) return set("newest", "–");
  const seconds = (serverNowMs - header.t_newest) / 1000;
  set("newest", `${moment(header.t_newest)}, ${age(seconds)} ago`);
}

export function showRange(header, zoomed, axis) {
  set("range-gaps", header?.shortest_gap > 1
    ? `gaps of fewer than ${integer(header.shortest_gap)} frames break the line once per ${integer(header.bin)}`
    : "");
  $("range").classList.toggle("whole", !zoomed);
  if (!header || !zoomed) return set("range", "whole series");
  const shown = header.bin > 1 ? `, smallest and largest of every ${header.bin}` : ", every frame";
  const time = (frame) => fixed(frame * header.frame_time_s, 3);
  const seconds = axis === "time" && header.frame_time_s
    ? `${time(header.from)} to ${time(header.to - 1)} s, ` : "";
  set("range", `${seconds}frames ${integer(header.from)} to ${integer(header.to - 1)}${shown}`);
}

// Whose counts the plot and the table are of; the tiles stay those of the whole image.
export function showRegion(header) {
  const region = header?.region ?? null;
  $("region-shown").hidden = $("tiles-of").hidden = region === null;
  if (region === null) return;
  set("region-shown", `Region ${region}`);
  set("tiles-of", `Figures above: whole image; plot, table and histogram: region ${region}.`);
}
