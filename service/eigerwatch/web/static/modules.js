// The detector: its newest picture, and which module counts otherwise than before.

import { Panel, ask, seriesPath } from "./api.js";
import { counts, fixed, integer, moment, span } from "./format.js";
import { set } from "./figures.js";
import { fillRows } from "./rows.js";
import { drawOutlines, formOf } from "./shapes.js";

const EVERY_MS = 5000;
const RETRY_MS = 5000;
const NEWEST = 1000; // frames that are compared ...
const FIRST = 10000; // ... with so many of the first ones
const FEWEST = 4; // with fewer modules none can be told to stand out
const FULL_TINT_PERCENT = 5; // a change of so much has the full colour
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

export class ModulesPanel {
  // wanted() -> { series, channel, version } or null.
  constructor({ wanted }) {
    this.cells = [];
    this.map = $("module-map");
    this.outlines = $("preview-outlines");
    this.panel = new Panel($("modules-panel"), {
      everyMs: EVERY_MS,
      wanted,
      load: async ({ series, channel }) => {
        const query = { channel, last: NEWEST, against: FIRST };
        const [told, picture] = await Promise.all([
          ask(seriesPath(series, "/regions", query)), ask(seriesPath(series, "/preview/facts", { channel })),
        ]);
        return () => {
          this.show(told, seriesPath(series, "/preview", { channel, n: picture.image_id ?? told.to }));
          this.showPicture(told, picture);
        };
      },
      clear: () => {
        this.show(null, null);
        this.showPicture(null, null);
      },
      failed: (text) => set("modules-problem", text),
    });
    const picture = $("preview");
    picture.addEventListener("load", () => this.pictured(true));
    picture.addEventListener("error", () => this.failed());
    this.pictured(false);
  }

  // There is one, but it does not come: tried again.
  failed() {
    this.pictured(false);
    $("preview").removeAttribute("src");
    if (!this.expected) return;
    set("preview-none", "the image does not come");
    setTimeout(() => this.panel.hurry(), RETRY_MS);
  }

  pictured(there) {
    $("preview").hidden = !there;
    this.outlines.toggleAttribute("hidden", !there);
    $("preview-of").hidden = !there;
    $("preview-none").hidden = there;
  }

  show(told, preview) {
    if (preview === null) {
      $("preview").removeAttribute("src");
      this.pictured(false);
    } else if ($("preview").getAttribute("src") !== preview) {
      $("preview").src = preview;
    }
    const regions = told?.regions ?? [];
    const drawn = regions.filter(({ shape }) => shape.module && isBox(shape));
    this.draw(told?.image, drawn);
    const out = regions.filter((region) => region.deviates);
    set("modules-text", told ? sentence(told, drawn, out) : "");
    $("modules-text").classList.toggle("bad", out.length > 0);
    $("modules-table").hidden = regions.length === 0;
    fillRows($("modules"), regions.map((region) => [
      region.name.replaceAll("_", " "),
      counts(region.mean_total),
      change(region),
      region.deviates ? "stands out" : "",
    ]), (row, index) => row.classList.toggle("out", regions[index].deviates));
  }

  // Which frame the picture shows, and the regions that people chose.
  showPicture(told, picture) {
    this.expected = Boolean(picture?.covers);
    if (!this.expected) set("preview-none", "no image of this series");
    const chosen = (told?.regions ?? []).filter(({ shape }) => !shape.module).map(formOf).filter(Boolean);
    drawOutlines(this.outlines, picture?.covers ?? [1, 1], chosen);
    const when = picture?.received_ms ? `, ${moment(picture.received_ms)}` : "";
    const names = chosen.length ? `; regions: ${chosen.map(({ name }) => name.replaceAll("_", " ")).join(", ")}` : "";
    set("preview-of", picture?.covers ? `frame ${integer(picture.image_id)}${when}${names}` : "");
  }

  draw(image, regions) {
    this.map.toggleAttribute("hidden", regions.length === 0);
    const far = (axis, index) => Math.max(1, ...regions.map(({ shape }) => shape[axis][1]), image?.[index] ?? 1);
    const width = far("x", 1);
    this.map.setAttribute("viewBox", `0 0 ${width} ${far("y", 0)}`);
    while (this.cells.length > regions.length) this.cells.pop().group.remove();
    regions.forEach((region, index) => {
      const cell = this.cells[index] ?? this.newCell();
      const [y0, y1] = region.shape.y;
      const [x0, x1] = region.shape.x;
      const value = region.change_percent;
      write(cell.box, { x: x0, y: y0, width: x1 - x0, height: y1 - y0 });
      write(cell.tint, {
        x: x0, y: y0, width: x1 - x0, height: y1 - y0,
        "fill-opacity": (0.45 * Math.min(1, Math.abs(value ?? 0) / FULL_TINT_PERCENT)).toFixed(2),
      });
      cell.group.setAttribute("class", region.deviates ? "out" : "");
      cell.tint.setAttribute("class", value < 0 ? "less" : "more");
      const height = Math.min(0.4 * (y1 - y0), 0.15 * (x1 - x0), 0.06 * width);
      write(cell.text, { x: (x0 + x1) / 2, y: (y0 + y1) / 2, "font-size": Math.round(height) });
      const sign = region.deviates ? (value < 0 ? "▼ " : "▲ ") : "";
      set(cell.text, value === null ? "–" : `${sign}${signed(value, Math.abs(value) >= 9.95 ? 1 : 2)} %`);
      set(cell.title, `${region.name.replaceAll("_", " ")}: ${change(region)} %`);
    });
  }

  newCell() {
    const make = (name) => document.createElementNS(SVG, name);
    const cell = { group: make("g"), box: make("rect"), tint: make("rect"), text: make("text"), title: make("title") };
    cell.box.setAttribute("class", "box");
    cell.group.append(cell.title, cell.box, cell.tint, cell.text);
    this.map.append(cell.group);
    this.cells.push(cell);
    return cell;
  }
}

function isBox({ x, y }) {
  return [x, y].every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(Number.isFinite));
}

function write(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    const text = String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

function signed(value, digits) {
  const text = fixed(value, digits);
  if (!/[1-9]/.test(text)) return fixed(0, digits);
  return `${value > 0 ? "+" : ""}${text}`;
}

function change({ change_percent: value, change_error_percent: error }) {
  return value === null ? "–" : `${signed(value, 3)} ± ${fixed(error, 3)}`;
}

function sentence(told, modules, out) {
  if (!told.regions.length) return "No sums of modules are stored.";
  const names = out.map((region) => `${region.name.replaceAll("_", " ")} ${signed(region.change_percent, 1)} %`);
  const newest = `${integer(told.frames)} newest frames`;
  if (!told.compared) return `${newest}; there are no earlier ones to compare with.`;
  const against = `against ${span(told.compared[0], told.compared[1], "frame")}, by share of the total`;
  if (out.length) return `Stands out: ${names.join(", ")} (${newest} ${against}).`;
  return modules.length >= FEWEST ? `No module stands out (${newest} ${against}).` : `${newest} ${against}.`;
}
