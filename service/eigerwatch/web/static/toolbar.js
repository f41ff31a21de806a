// Buttons, lists and keys: what can be chosen, and which choice holds.

import { set } from "./figures.js";
import { Keys } from "./keys.js";
import { say } from "./toast.js";
import { WINDOWED } from "./url.js";

const NO_TIME = "No time axis: the frame time of this series is not known";
const ONCE = ["x", "i", "z"]; // decisions: a key held down is one
const SWITCHES = {
  y: ["robust", "full", "fixed"], axis: ["frame", "time"], unit: ["normalised", "counts"], layout: ["stacked", "overlaid"],
};
const $ = (id) => document.getElementById(id);

export class Toolbar {
  // view: as in url.js; on: what each control does, and the ranges that keys move; more:
  // further keys and what they do.
  constructor(view, on, more = {}) {
    Object.assign(this, { view, on });
    this.timed = true;
    this.regions = "";
    const { ranges } = on;
    this.keys = {
      f: on.follow,
      " ": on.pause,
      y: () => this.turn("y"),
      o: () => this.turn("layout"),
      t: () => this.turn("axis"),
      u: () => this.turn("unit"),
      d: on.theme,
      l: on.link,
      w: on.wall,
      ...ranges.keys,
      x: () => on.decide(true),
      i: () => on.decide(false),
      z: on.undo,
      "[": () => on.step(-1),
      "]": () => on.step(1),
      "?": () => $("keys").showModal(),
      1: () => on.choose({ scope: "whole" }),
      2: () => on.choose({ scope: "range" }),
      3: () => on.choose({ scope: "frames" }),
      4: () => on.choose({ scope: "seconds" }),
      escape: () => this.view.wall && on.wall(),
      ...more,
    };
    new Keys(this.keys, { once: ONCE, when: (key) => key !== "escape" || view.wall });
    const clicks = {
      follow: "f", pause: " ", reset: "r", theme: "d", help: "?", "copy-link": "l", wall: "w",
      "exclude-range": "x", "include-range": "i",
    };
    for (const [id, key] of Object.entries(clicks)) {
      $(id).addEventListener("click", () => this.keys[key]());
    }
    for (const [what, values] of Object.entries(SWITCHES)) {
      for (const value of values) {
        $(`${what}-${value}`).addEventListener("click", () => this.set(what, value));
      }
    }
    $("png").addEventListener("click", on.png);
    this.list("scope", (scope) => on.choose({ scope }));
    this.list("region", (region) => on.choose({ region: region || null }));
    $("half").addEventListener("change", () => {
      const half = Number($("half").value);
      if (half >= 0.001 && half <= 100) on.choose({ half });
      else $("half").value = view.half;
    });
    $("window").addEventListener("change", () => {
      const value = Number($("window").value);
      on.choose(value > 0 ? { window: value } : {});
    });
  }

  list(id, chosen) {
    $(id).addEventListener("change", () => {
      $(id).blur(); // so that the keys work again
      chosen($(id).value);
    });
  }

  turn(what) {
    const values = SWITCHES[what];
    this.set(what, values[(values.indexOf(this.view[what]) + 1) % values.length]);
  }

  set(what, value) {
    if (what === "axis" && value === "time" && !this.timed) say(NO_TIME);
    else this.on.choose({ [what]: value });
  }

  // header: of the tick shown, or null.
  show(header, paused) {
    const { view } = this;
    const zoomed = view.from !== null || view.to !== null;
    $("follow").setAttribute("aria-pressed", String(view.series === "live" && !zoomed && !paused));
    $("pause").setAttribute("aria-pressed", String(paused));
    set("pause", paused ? "Go on" : "Pause");
    $("reset").disabled = !zoomed;
    $("exclude-range").hidden = $("include-range").hidden = !zoomed;
    $("scope").value = view.scope;
    $("window").hidden = !WINDOWED.includes(view.scope);
    if (document.activeElement !== $("window")) $("window").value = view.window;
    $("half-shown").hidden = view.y !== "fixed";
    if (document.activeElement !== $("half")) $("half").value = view.half;
    this.timed = !header?.n || Boolean(header.frame_time_s);
    $("axis-time").setAttribute("aria-disabled", String(!this.timed));
    $("axis-time").title = this.timed ? "Seconds since the first frame (T)" : NO_TIME;
    for (const [what, values] of Object.entries(SWITCHES)) {
      const chosen = what === "axis" && !this.timed ? "frame" : view[what];
      for (const value of values) {
        $(`${what}-${value}`).setAttribute("aria-pressed", String(value === chosen));
      }
    }
    this.showRegions(header);
  }

  showRegions(header) {
    const names = header?.regions ?? [];
    const { region } = this.view;
    const known = JSON.stringify([names, region]);
    if (known === this.regions) return;
    this.regions = known;
    const offered = region === null || names.includes(region) ? names : [region, ...names];
    $("region").replaceChildren(option("", "whole image"), ...offered.map((name) => option(name, name)));
    $("region").value = region ?? "";
    $("region").parentElement.hidden = !offered.length;
  }
}

export function option(value, text) {
  const element = document.createElement("option");
  element.value = value;
  element.textContent = text;
  return element;
}
