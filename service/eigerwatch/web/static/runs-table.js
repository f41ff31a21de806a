// The table of runs: rows made once for each run and written to in place.

import { FOUND_WORDS, age, fixed, integer, short } from "./format.js";
import { set } from "./figures.js";
import { SOURCE_WORDS, began, interval, nameOf, pathOf, verdictOf } from "./run-words.js";
import { drawSparkline, emptySparkline } from "./sparkline.js";

const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

// key of the order, heading, class of the cells; without a key: not sortable.
const COLUMNS = [
  [null, "Choose", "pick"],
  ["started", "Run", "run"],
  ["source", "Source", "left source"],
  [null, "Trace", "left trace"],
  ["stored", "Stored", "figure"],
  ["missing", "Missing", "figure"],
  ["rejected", "Rejected", "figure"],
  ["duration", "Duration", "figure"],
  ["mean", "Mean", "figure"],
  ["cv", "CV %", "figure"],
  ["cv_beam", "CV beam %", "figure"],
  ["verdict", "Limited by", "left verdict"],
  ["events", "Events", "left found"],
  ["notes", "Notes", "figure"],
];

export class RunsTable {
  // onSort(key), onChoose(run, yes), onTag(tag); isChosen(series).
  constructor({ onSort, onChoose, onTag, isChosen }) {
    Object.assign(this, { onSort, onChoose, onTag, isChosen });
    this.rows = new Map();
    $("columns").append(...COLUMNS.map((column) => this.heading(column)));
  }

  heading([key, text, kind]) {
    const head = document.createElement("th");
    head.scope = "col";
    if (kind.includes("left")) head.className = "left";
    const word = document.createElement("span");
    word.textContent = text;
    if (key === null) {
      if (kind === "pick") word.className = "unseen";
      head.append(word);
      return head;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.sort = key;
    const arrow = document.createElement("span");
    arrow.className = "arrow";
    arrow.setAttribute("aria-hidden", "true");
    button.append(word, arrow);
    button.addEventListener("click", () => this.onSort(key));
    head.append(button);
    return head;
  }

  showOrder(sort, order) {
    for (const button of $("columns").querySelectorAll("button")) {
      const head = button.closest("th");
      const mine = button.dataset.sort === sort;
      if (mine) head.setAttribute("aria-sort", order === "asc" ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
      set(button.querySelector(".arrow"), mine ? (order === "asc" ? "▲" : "▼") : "");
    }
  }

  show(runs) {
    const focused = document.activeElement;
    const wanted = new Set(runs.map((run) => run.series));
    for (const [series, row] of this.rows) {
      if (wanted.has(series)) continue;
      row.element.remove();
      this.rows.delete(series);
    }
    let place = $("rows").firstElementChild;
    for (const run of runs) {
      let row = this.rows.get(run.series);
      if (!row) {
        row = this.newRow();
        this.rows.set(run.series, row);
      }
      this.fill(row, run);
      if (row.element === place) place = place.nextElementSibling;
      else $("rows").insertBefore(row.element, place);
    }
    // A row that moves loses the focus that was in it.
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  }

  showChosen() {
    for (const row of this.rows.values()) this.mark(row);
  }

  mark(row) {
    const yes = this.isChosen(row.run.series);
    row.pick.checked = yes;
    row.element.dataset.chosen = String(yes);
  }

  newRow() {
    const element = document.createElement("tr");
    const cells = {};
    for (const [, text, kind] of COLUMNS) {
      const cell = document.createElement(kind === "run" ? "th" : "td");
      if (kind === "run") cell.scope = "row";
      else if (!["pick", "left source", "left trace"].includes(kind)) cell.dataset.label = text;
      cell.className = kind;
      cells[text] = cell;
      element.append(cell);
    }
    const row = { element, cells, run: null, tagged: null };
    row.pick = part(part(cells.Choose, "label"), "input");
    row.pick.type = "checkbox";
    row.pick.addEventListener("change", () => this.onChoose(row.run, row.pick.checked));
    row.link = part(cells.Run, "a");
    row.pinned = part(cells.Run, "span", "badge");
    row.archived = part(cells.Run, "span", "badge");
    set(row.pinned, "pinned");
    set(row.archived, "archived");
    row.key = part(cells.Run, "small");
    row.detector = part(cells.Run, "small");
    row.tags = part(cells.Run, "span", "tags");
    row.source = part(cells.Source, "span");
    row.spark = emptySparkline();
    cells.Trace.append(row.spark);
    const icon = document.createElementNS(SVG, "svg");
    icon.setAttribute("aria-hidden", "true");
    row.icon = document.createElementNS(SVG, "use");
    icon.append(row.icon);
    cells["Limited by"].append(icon, " ");
    row.verdict = part(cells["Limited by"], "span");
    for (const name of ["Stored", "Missing", "Rejected", "Duration", "Mean", "CV %", "CV beam %", "Events", "Notes"]) {
      row[name] = part(cells[name], "span");
    }
    row.announced = part(cells.Stored, "small");
    row.cv = part(cells["CV %"], "small");
    row.beam = part(cells["CV beam %"], "small");
    element.addEventListener("click", (event) => {
      if (event.target.closest("a, button, input, label") || String(getSelection())) return;
      location.assign(row.link.href);
    });
    return row;
  }

  fill(row, run) {
    row.run = run;
    const name = nameOf(run);
    row.element.dataset.series = run.series;
    row.element.dataset.source = run.source;
    row.pick.setAttribute("aria-label", `Choose ${name}`);
    row.link.setAttribute("href", pathOf(run));
    set(row.link, began(run));
    row.pinned.hidden = !run.pinned;
    row.archived.hidden = !run.archived;
    set(row.key, run.series);
    row.detector.hidden = !run.detector;
    set(row.detector, run.detector ?? "");
    set(row.source, SOURCE_WORDS[run.source] ?? run.source);
    row.source.classList.toggle("kind", run.source !== "live");
    drawSparkline(row.spark, run.sparkline);
    set(row.Stored, integer(run.stored));
    set(row.announced, run.announced === null ? "" : ` of ${integer(run.announced)}`);
    for (const [part, count] of [["Missing", run.missing], ["Rejected", run.rejected]]) {
      set(row[part], integer(count));
      row[part].classList.toggle("bad", count > 0);
    }
    set(row.Duration, run.duration_s === null ? "–" : age(run.duration_s));
    set(row.Mean, short(run.mean));
    set(row["CV %"], fixed(run.cv_percent, 3));
    set(row.cv, interval(run.cv_low, run.cv_high, 3));
    set(row["CV beam %"], fixed(run.cv_beam_percent, 3));
    set(row.beam, interval(run.cv_beam_low, run.cv_beam_high, 3));
    const [icon, word, why] = verdictOf(run);
    row.icon.setAttribute("href", `#v-${icon}`);
    set(row.verdict, word);
    row.cells["Limited by"].dataset.verdict = icon;
    row.cells["Limited by"].title = why;
    set(row.Events, eventsOf(run));
    set(row.Notes, integer(run.notes));
    this.fillTags(row, run.tags);
    this.mark(row);
  }

  fillTags(row, tags) {
    const seen = JSON.stringify(tags);
    if (row.tagged === seen) return;
    row.tagged = seen;
    row.tags.replaceChildren(...tags.map((tag) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = tag;
      button.title = "Show only runs with this tag";
      button.addEventListener("click", () => this.onTag(tag));
      return button;
    }));
  }
}

function part(parent, name, kind = "") {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  parent.append(element);
  return element;
}

function eventsOf(run) {
  if (run.judged !== "done") return "–";
  const parts = Object.entries(run.events).map(([kind, n]) => `${integer(n)} ${FOUND_WORDS[kind] ?? kind}`);
  return parts.join(", ") || "none";
}
