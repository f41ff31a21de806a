// What can be done with the runs that are chosen: compare, tag, pin.

import { ask, seriesPath } from "./api.js";
import { set } from "./figures.js";
import { integer } from "./format.js";

export const MOST_COMPARED = 4;
const $ = (id) => document.getElementById(id);

export class Chosen {
  // onChange(): the choice changed; onDone(): tags or pins did; onCompare(runs).
  constructor({ onChange, onDone, onCompare }) {
    Object.assign(this, { onChange, onDone });
    this.runs = new Map();
    $("compare").addEventListener("click", () => onCompare([...this.runs.values()]));
    $("unchoose").addEventListener("click", () => this.forget());
    $("pin").addEventListener("click", () => this.each("PUT", "/pin", () => ({ pinned: true })));
    $("unpin").addEventListener("click", () => this.each("DELETE", "/pin", () => ({ pinned: false })));
    $("tag-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const tag = $("new-tag").value;
      if (await this.each("PUT", "/tags", ({ tags }) => ({ tags: [...new Set([...tags, tag])] }), { tag })) $("new-tag").value = "";
    });
  }

  get keys() {
    return [...this.runs.keys()];
  }

  has(series) {
    return this.runs.has(series);
  }

  choose(run, yes) {
    if (yes) this.runs.set(run.series, run);
    else this.runs.delete(run.series);
    this.show();
    this.onChange();
  }

  forget() {
    this.runs.clear();
    this.show();
    this.onChange();
    $("q").focus();
  }

  // What is new about runs, chosen or not.
  learn(runs) {
    for (const run of runs) {
      if (this.runs.has(run.series)) this.runs.set(run.series, run);
    }
    this.show();
  }

  show() {
    const runs = [...this.runs.values()];
    $("chosen").hidden = runs.length === 0;
    set("chosen-count", `${integer(runs.length)} chosen`);
    const few = runs.length >= 2 && runs.length <= MOST_COMPARED;
    $("compare").disabled = !few;
    $("compare").title = few ? "" : `Choose two to ${MOST_COMPARED} runs to compare them`;
    $("pin").disabled = runs.every((run) => run.pinned);
    $("unpin").disabled = runs.every((run) => !run.pinned);
    const tags = [...new Set(runs.flatMap((run) => run.tags))];
    const seen = JSON.stringify(tags);
    if ($("chosen-tags").dataset.seen === seen) return;
    $("chosen-tags").dataset.seen = seen;
    $("chosen-tags").replaceChildren(...tags.map((tag) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${tag} ×`;
      button.setAttribute("aria-label", `Take tag ${tag} away`);
      button.addEventListener("click", async () => {
        await this.each("DELETE", "/tags", ({ tags }) => ({ tags: tags.filter((one) => one !== tag) }), { tag });
        $("new-tag").focus();
      });
      return button;
    }));
  }

  // Ask the same for every run; tells the first refusal. changed(run): what is new about
  // one then, which the list may not show.
  async each(method, rest, changed, query = {}) {
    let refused = "";
    for (const run of [...this.runs.values()]) {
      try {
        await ask(seriesPath(run.series, rest, query), { method });
        if (this.runs.has(run.series)) this.runs.set(run.series, { ...run, ...changed(run) });
      } catch (error) {
        refused ||= error.message;
      }
    }
    set("chosen-problem", refused);
    this.show();
    this.onDone();
    return refused === "";
  }
}
