// Notes about a series, and what people decided about its frames.

import { Panel, ask, seriesPath } from "./api.js";
import { day, clock, integer, span } from "./format.js";
import { remember, remembered } from "./memory.js";
import { set } from "./figures.js";

const EVERY_MS = 10000;
const SURE_MS = 5000; // within so long a second press deletes
const END = 2 ** 40 - 1;
const $ = (id) => document.getElementById(id);

// Who writes here, as typed; remembered by the browser.
export function author() {
  return $("author").value.trim();
}

export function setAuthor(name) {
  $("author").value = name;
  remember("author", author());
}

export class Notes {
  // wanted() -> { series, version } or null; onDecided(): frames count otherwise now.
  constructor({ wanted, onDecided }) {
    this.onDecided = onDecided;
    this.series = null;
    this.seen = "";
    this.panel = new Panel($("notes-panel"), {
      everyMs: EVERY_MS,
      wanted,
      load: async ({ series }) => {
        const told = await ask(seriesPath(series, "/notes"));
        return () => this.show(series, told);
      },
      clear: () => this.show(null, { notes: [], exclusions: [] }),
      failed: (text) => set("notes-problem", text),
    });
    $("author").value = remembered("author") ?? "";
    $("author").addEventListener("change", () => setAuthor(author()));
    $("note-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.add();
    });
  }

  show(series, { notes, exclusions }) {
    this.series = series;
    $("note-add").disabled = series === null;
    const seen = JSON.stringify([series, notes, exclusions]);
    if (seen === this.seen) return;
    // Somebody is about to press: what others wrote meanwhile can wait.
    const busy = $("notes-panel").contains(document.activeElement) && document.activeElement.dataset.sure;
    if (busy && series !== null) return;
    this.seen = seen;
    set("notes-count", notes.length ? `(${integer(notes.length)})` : "");
    $("notes").replaceChildren(...notes.map((note) => this.noteItem(note)).reverse());
    $("notes-none").hidden = notes.length > 0;
    $("edits").replaceChildren(...exclusions.map((one) => this.editItem(one)).reverse());
    $("edits-title").hidden = exclusions.length === 0;
  }

  noteItem(note) {
    const when = `${day(note.ms)} ${clock(note.ms)}`;
    const from = note.author ? `${when}, ${note.author}` : when;
    return item(note.text, from, "Delete", `Delete the note of ${from}`, () =>
      this.change(seriesPath(this.series, `/notes/${encodeURIComponent(note.id)}`)));
  }

  editItem(one) {
    const frames = one.last >= END ? `frames from ${integer(one.first)} on` : span(one.first, one.last, "frame");
    const text = `${one.excluded ? "Excluded" : "Included"}: ${frames}${one.reason ? ` (${one.reason})` : ""}`;
    return item(text, one.author, "Undo", `Undo: ${text}`, async () => {
      await this.change(seriesPath(this.series, `/exclusions/${encodeURIComponent(one.id)}`));
      this.onDecided();
    });
  }

  async change(path) {
    try {
      await ask(path, { method: "DELETE" });
    } catch (error) {
      set("notes-problem", error.message);
    }
    this.panel.hurry();
    $("notes-title").focus();
  }

  async add() {
    const text = $("note").value.trim();
    if (!text || !this.series) return;
    try {
      await ask(seriesPath(this.series, "/notes"), { method: "POST", body: { text, author: author() } });
      $("note").value = "";
      set("notes-problem", "");
      this.panel.hurry();
    } catch (error) {
      set("notes-problem", `Not written: ${error.message}`);
    }
  }
}

// One line with a button that wants to be pressed twice.
function item(text, under, word, label, act) {
  const element = document.createElement("li");
  const said = document.createElement("p");
  said.textContent = text;
  const from = document.createElement("small");
  from.textContent = under;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = word;
  button.setAttribute("aria-label", label);
  let sureUntil = 0;
  button.addEventListener("click", () => {
    if (performance.now() < sureUntil) {
      button.disabled = true;
      delete button.dataset.sure;
      act();
      return;
    }
    sureUntil = performance.now() + SURE_MS;
    button.textContent = "Sure?";
    button.dataset.sure = "true";
    button.setAttribute("aria-label", `Sure? ${label}`);
    setTimeout(() => {
      button.textContent = word;
      delete button.dataset.sure;
      button.setAttribute("aria-label", label);
    }, SURE_MS);
  });
  const words = document.createElement("div");
  words.append(said, from);
  element.append(words, button);
  return element;
}
