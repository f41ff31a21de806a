// The replay of a recorded master: which one, how fast, how far.

import { Panel, ask } from "./api.js";
import { integer, moment } from "./format.js";
import { set } from "./figures.js";
import { author } from "./notes.js";

const EVERY_MS = 1000;
const TYPING_MS = 300; // pause in typing after which is searched
const LISTED = 200;
const PATH = "/api/v1/replay";
const SPEEDS = [[0.1, "0.1 × recorded"], [0.5, "0.5 × recorded"], [1, "as recorded"], [2, "2 × recorded"],
  [5, "5 × recorded"], [10, "10 × recorded"], [100, "100 × recorded"], [0, "as fast as it goes"]];
const WORDS = {
  none: "", starting: "Starting", playing: "Playing", paused: "Paused", stopping: "Stopping",
  finished: "Finished", stopped: "Stopped", failed: "Failed", ended: "Ended",
};
const $ = (id) => document.getElementById(id);

export class ReplayPanel {
  // onShow(series): look at that series.
  constructor({ onShow }) {
    this.replay = null;
    this.searches = 0;
    for (const id of ["replay-speed", "replay-pace"]) fillSpeeds($(id));
    this.panel = new Panel($("replay-panel"), {
      everyMs: EVERY_MS,
      wanted: () => ({ version: Math.floor(performance.now() / EVERY_MS) }),
      load: async () => {
        const told = await ask(PATH);
        return () => this.show(told);
      },
      clear: () => {},
      failed: (text) => this.failed(text, "ask"),
    });
    $("replay-panel").addEventListener("toggle", () => this.search());
    $("replay-again").addEventListener("click", () => this.search());
    $("replay-search").addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.search(), TYPING_MS);
    });
    $("replay-list").addEventListener("change", () => this.offer());
    $("replay-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.command("POST", { file: $("replay-list").value, speed: Number($("replay-speed").value), author: author() });
    });
    $("replay-pause").addEventListener("click", () => this.command("PATCH", { paused: this.replay.state !== "paused" }));
    $("replay-pace").addEventListener("change", () => this.command("PATCH", { speed: Number($("replay-pace").value) }));
    $("replay-stop").addEventListener("click", () => this.command("DELETE"));
    $("replay-show").addEventListener("click", () => onShow(this.replay.series));
  }

  async command(method, body = null) {
    try {
      const told = await ask(PATH, { method, body });
      this.failed("", "command");
      this.show(told);
    } catch (error) {
      this.failed(error.message, "command");
    }
    this.panel.hurry();
  }

  // What went wrong with a command stays until the next one.
  failed(text, source) {
    if (source === "ask" && !text && this.source === "command") return;
    this.source = text ? source : null;
    set("replay-problem", text && sentence(text));
  }

  show(told) {
    this.replay = told;
    const word = WORDS[told.state] ?? told.state;
    const silent = !told.alive;
    set("replay-word", told.active ? `· ${word.toLowerCase()}` : "");
    $("replay-now").hidden = told.state === "none";
    set("replay-state", silent ? "No sign of life of the service" : word);
    $("replay-state").classList.toggle("failed", silent || told.state === "failed");
    set("replay-file", told.by ? `${told.name}, started by ${told.by}` : told.name);
    set("replay-text", told.text && sentence(told.text));
    const progress = $("replay-progress");
    progress.hidden = !told.frames;
    progress.max = Math.max(1, told.frames);
    progress.value = told.frame;
    set("replay-frames", told.frames ? `frame ${integer(told.frame)} of ${integer(told.frames)}` : "");
    const moving = told.active && told.state !== "stopping" && !silent;
    set("replay-pause", told.state === "paused" ? "Go on" : "Pause");
    $("replay-pause").disabled = $("replay-stop").disabled = $("replay-pace").disabled = !moving;
    if (document.activeElement !== $("replay-pace")) choose($("replay-pace"), told.speed);
    $("replay-show").disabled = !told.series;
    if (told.problem) this.failed(told.problem, "ask");
    this.offer();
  }

  offer() {
    const free = this.replay?.possible && !this.replay.active;
    $("replay-start").disabled = !free || !$("replay-list").value;
    set("replay-chosen", $("replay-list").selectedOptions[0]?.title ?? "");
  }

  async search() {
    if (!$("replay-panel").open) return;
    const query = new URLSearchParams({ search: $("replay-search").value, limit: LISTED });
    this.searches += 1;
    const search = this.searches;
    set("replay-count", "Looking …");
    try {
      const told = await ask(`${PATH}/recordings?${query}`);
      if (search === this.searches) this.list(told);
    } catch (error) {
      if (search === this.searches) set("replay-count", sentence(error.message));
    }
  }

  list({ recordings, matching, complete, problems }) {
    const list = $("replay-list");
    const chosen = list.value;
    list.replaceChildren(...recordings.map((one) => {
      const option = new Option(`${one.name}   ${moment(one.modified_ms)}`, one.file);
      option.title = `${one.name} in ${one.folder}`;
      return option;
    }));
    list.value = recordings.some((one) => one.file === chosen) ? chosen : "";
    const shown = recordings.length < matching ? `, of which the newest ${integer(recordings.length)} are shown` : "";
    const parts = [`${matching === 1 ? "1 recording" : `${integer(matching)} recordings`}${shown}`];
    if (!complete) parts.push("the folders hold more than could be looked at: search will not find all");
    set("replay-count", `${[...parts, ...problems].join("; ")}.`);
    this.offer();
  }
}

function fillSpeeds(select) {
  select.replaceChildren(...SPEEDS.map(([value, text]) => new Option(text, String(value))));
  select.value = "1";
}

// The speed in force, which others may have set to something that is not offered.
function choose(select, speed) {
  const value = String(speed);
  if (![...select.options].some((one) => one.value === value)) {
    select.append(new Option(`${value} × recorded`, value));
  }
  select.value = value;
}

function sentence(text) {
  const said = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(said) ? said : `${said}.`;
}
