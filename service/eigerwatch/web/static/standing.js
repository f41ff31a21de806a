// How things stand: source and link, ages of the values, banner, notice, title.

import { cvOf, showAssessed } from "./assessment.js";
import { showBeam, withoutBeam } from "./beam.js";
import * as figures from "./figures.js";
import { KIND_WORDS, STATE_WORDS, age, moment } from "./format.js";

const RECEIVING = ["collecting", "settling"];
const $ = (id) => document.getElementById(id);
const set = figures.set;

export function pill(id, state, text, word = STATE_WORDS[state] ?? state) {
  const element = $(id);
  element.dataset.state = state;
  element.querySelector("use").setAttribute("href", `#i-${state}`);
  set(element.querySelector("span"), text ? `${word}: ${text}` : word);
  element.title = element.textContent;
}

// page: what page.js knows; onSeries(key) follows the notice; zoomed: not all is shown.
export function showStanding(page, view, { zoomed, onSeries }) {
  const header = page.tick?.header;
  const now = page.serverNow();
  const connected = page.link === "connected";
  const followed = page.state?.source ?? "no_data";
  const own = view.series === "live" || !header ? followed : header.source;
  const source = page.problem ? "error" : own;
  if (connected) pill("source", source, "");
  else pill("source", "no_data", page.state ? `was ${STATE_WORDS[source]}` : "", "unknown");
  const shown = header?.source ?? source;
  const live = connected && !page.paused && RECEIVING.includes(shown) && source !== "error";
  figures.showFacts(header, live, page.lagMs);
  figures.showNewest(header, now);
  showAssessed(header, now);
  showBeam(page.state, header, live);
  figures.showRange(header, zoomed, view.axis);
  figures.showRegion(header);
  showBanner(page, header, source, shown);
  showNotice(page, view, header, onSeries);
  const kind = KIND_WORDS[header?.kind ?? page.state?.kind];
  $("kind").hidden = !kind;
  set("kind", kind ?? "");
  const dark = withoutBeam(page.state, header);
  const cv = cvOf(header, dark);
  const figure = connected && cv !== null ? `${cv.toFixed(3)} % ` : "";
  const lit = dark === null ? STATE_WORDS[source] : `no beam, ${STATE_WORDS[source]}`;
  const word = connected ? lit : STATE_WORDS[page.link];
  document.title = `${kind ? `${kind} ` : ""}${figure}${word} · Eigerwatch`;
}

function showBanner(page, header, source, shown) {
  const reasons = [];
  if (page.link === "stale") reasons.push("No message from the server");
  else if (page.link !== "connected") reasons.push("No connection to the server");
  else if (source === "error") reasons.push(capital(page.problem || page.state?.text || header?.source_text || "error"));
  else if (shown === "stalled") reasons.push(`Stalled: ${header?.source_text || page.state.text}`);
  if (page.paused) reasons.push("Paused");
  let text = reasons.join("; ");
  if (text && header?.t_newest) {
    const seconds = (page.serverNow() - header.t_newest) / 1000;
    text += ` — values from ${moment(header.t_newest)}, ${age(seconds)} ago`;
  }
  $("banner").hidden = !text;
  $("banner").classList.toggle("calm", text.startsWith("Paused"));
  set("banner", text);
}

function showNotice(page, view, header, onSeries) {
  const newest = page.state?.series;
  const other = page.state?.others?.[0];
  const texts = [...page.problems];
  let target = null;
  if (header && view.series !== "live" && newest && newest !== header.series) {
    texts.push(`Not the live series, which is ${STATE_WORDS[page.state.source]}.`);
    target = "live";
  } else if (view.series === "live" && other) {
    texts.push(`Another series is being collected: ${other}`);
    target = other;
  }
  $("notice").hidden = !texts.length;
  set($("notice").querySelector("span"), texts.join(" "));
  const button = $("notice").querySelector("button");
  set(button, { null: "Understood", live: "Follow live" }[target] ?? "Show it");
  button.onclick = () => {
    page.problems.length = 0;
    if (target === null) showNotice(page, view, header, onSeries);
    else onSeries(target);
  };
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
