// Joins connection, plots, figures and controls.

import { AlarmPanel } from "./alarms.js";
import { showAssessed, showTiles } from "./assessment.js";
import { showBeam } from "./beam.js";
import { Compare } from "./compare.js";
import { Connection } from "./connection.js";
import { DeeperPanel } from "./deeper.js";
import { Events } from "./events.js";
import * as figures from "./figures.js";
import { KIND_WORDS, STATE_WORDS, age, clock, moment } from "./format.js";
import { Found } from "./found.js";
import { ModulesPanel } from "./modules.js";
import { Notes } from "./notes.js";
import { Plots } from "./plots.js";
import { SeriesChoice } from "./series.js";
import { SpectrumPanel } from "./spectrum.js";
import { warningsOf } from "./warnings.js";

const RECEIVING = ["collecting", "settling"];
const SCOPES = ["whole", "range", "frames", "seconds"];
const NOTES_MS = 15000; // others may write notes too
const EVENT_MARGIN = 200; // frames shown on either side of a picked event
const $ = (id) => document.getElementById(id);
const set = figures.set;

const url = new URLSearchParams(location.search);
const number = (name) => (/^\d+$/.test(url.get(name) ?? "") ? Number(url.get(name)) : null);

const page = {
  series: url.get("series") ?? "live",
  channel: url.get("channel"),
  from: number("from"),
  to: number("to"),
  scope: SCOPES.includes(url.get("scope")) ? url.get("scope") : "whole",
  window: number("window") ?? 10000,
  paused: false,
  link: "disconnected",
  state: null,
  tick: null,
  clockOffset: 0, // server minus browser [ms]
  lagMs: null,
};

// ---- what is asked of the server ----

function look() {
  connection.look({
    series: page.series,
    channel: page.channel,
    from: page.from,
    to: page.to,
    px: Math.max(300, $("plot").clientWidth),
    scope: page.scope,
    window: page.window,
  });
  const query = new URLSearchParams();
  if (page.series !== "live") query.set("series", page.series);
  for (const name of ["channel", "from", "to"]) {
    if (page[name] !== null) query.set(name, page[name]);
  }
  if (page.scope !== "whole") query.set("scope", page.scope);
  if (["frames", "seconds"].includes(page.scope)) query.set("window", page.window);
  if (plots.mode !== "robust") query.set("y", plots.mode);
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
  showControls();
}

function choose(series) {
  Object.assign(page, { series, channel: null, from: null, to: null, paused: false, tick: null });
  clear();
  look();
}

function zoom(from, to) {
  Object.assign(page, { from, to });
  look();
}

function setScope(scope) {
  page.scope = scope;
  look();
}

function pause(paused) {
  page.paused = paused;
  showControls();
  showAges();
  if (!paused) look();
}

// ---- what comes from the server ----

async function receiveTick(tick) {
  if (page.paused) return;
  const { header } = tick;
  const other = page.tick && page.tick.header.series !== header.series;
  page.tick = tick;
  choice.shown(header.series, header.channel);
  if (other || events.series !== header.series || events.known.size < header.ev_seq) {
    if (other && (page.from !== null || page.to !== null || page.channel !== null)) {
      Object.assign(page, { channel: null, from: null, to: null });
      look();
    }
    events.load(header.series).then(() => plots.setEvents(events.all));
  }
  showTiles(header);
  figures.showTable(header.stats);
  showAges();
  await new Promise((done) => setTimeout(done)); // figures and plot in separate tasks
  if (page.tick !== tick) return;
  try {
    await plots.draw(tick);
  } catch (error) {
    plotFailed(error);
  }
  await new Promise((done) => requestAnimationFrame(done));
  page.lagMs = header.t_newest ? Math.max(0, serverNow() - header.t_newest) : null;
  Object.assign(document.body.dataset, { seq: header.seq, frames: header.n });
}

function receiveState(state) {
  page.state = state;
  const offset = state.now - Date.now();
  page.clockOffset = Math.abs(offset) > 1000 ? offset : 0;
  alarms.take(state.alarms);
  choice.refreshIfNew(state.series, state.source, state.others);
  const warnings = warningsOf(state).map((text) => {
    const item = document.createElement("span");
    item.textContent = text;
    return item;
  });
  $("warnings").replaceChildren(...warnings);
  if (state.series === null && page.series === "live" && page.tick) clear();
  showAges();
}

function clear() {
  page.tick = null;
  showTiles(null);
  figures.showTable(null);
  plots.setEvents([]);
  plots.clear().catch(plotFailed);
  showAges();
}

function serverNow() {
  return Date.now() + page.clockOffset;
}

// ---- what is shown ----

function pill(id, state, text, word = STATE_WORDS[state] ?? state) {
  const element = $(id);
  element.dataset.state = state;
  element.querySelector("use").setAttribute("href", `#i-${state}`);
  set(element.querySelector("span"), text ? `${word}: ${text}` : word);
  element.title = element.textContent;
}

function showAges() {
  const header = page.tick?.header;
  const connected = page.link === "connected";
  const followed = page.state?.source ?? "no_data";
  const source = page.series === "live" || !header ? followed : header.source;
  if (connected) pill("source", source, "");
  else pill("source", "no_data", page.state ? `was ${STATE_WORDS[source]}` : "", "unknown");
  const shown = header?.source ?? source;
  const live = connected && !page.paused && RECEIVING.includes(shown) && source !== "error";
  figures.showFacts(header, live, page.lagMs);
  figures.showNewest(header, serverNow());
  showAssessed(header, serverNow());
  showBeam(page.state, header, live);
  figures.showRange(header, header && plots.zoomed(header));
  showBanner(header, connected, source, shown);
  showNotice(header);
  const kind = KIND_WORDS[header?.kind ?? page.state?.kind];
  $("kind").hidden = !kind;
  set("kind", kind ?? "");
  const cv = (header?.assessment ?? header?.tiles)?.cv_percent;
  const figure = connected && cv !== null && cv !== undefined ? `${cv.toFixed(3)} % ` : "";
  const word = connected ? STATE_WORDS[source] : STATE_WORDS[page.link];
  document.title = `${kind ? `${kind} ` : ""}${figure}${word} · Eigerwatch`;
}

function showBanner(header, connected, source, shown) {
  const reasons = [];
  if (!connected) reasons.push(page.link === "stale" ? "No message from the server" : "No connection to the server");
  else if (source === "error") reasons.push(capital(page.state?.text || header?.source_text || "error"));
  else if (shown === "stalled") reasons.push(`Stalled: ${header?.source_text || page.state.text}`);
  if (page.paused) reasons.push("Paused");
  let text = reasons.join("; ");
  if (text && header?.t_newest) {
    const seconds = (serverNow() - header.t_newest) / 1000;
    text += ` — values from ${moment(header.t_newest)}, ${age(seconds)} ago`;
  }
  $("banner").hidden = !text;
  $("banner").classList.toggle("calm", text.startsWith("Paused"));
  set("banner", text);
}

function showNotice(header) {
  const newest = page.state?.series;
  const other = page.state?.others?.[0];
  let text = "";
  let target = null;
  if (header && page.series !== "live" && newest && newest !== header.series) {
    text = `Not the live series, which is ${STATE_WORDS[page.state.source]}.`;
    target = "live";
  } else if (page.series === "live" && other) {
    text = `Another series is being collected: ${other}`;
    target = other;
  }
  $("notice").hidden = !text;
  set($("notice").querySelector("span"), text);
  const button = $("notice").querySelector("button");
  set(button, target === "live" ? "Follow live" : "Show it");
  button.onclick = () => choose(target);
}

function showControls() {
  const following = page.series === "live" && page.from === null && page.to === null;
  $("follow").setAttribute("aria-pressed", String(following && !page.paused));
  $("pause").setAttribute("aria-pressed", String(page.paused));
  set("pause", page.paused ? "Go on" : "Pause");
  const zoomed = page.from !== null || page.to !== null;
  $("reset").disabled = !zoomed;
  $("exclude-range").hidden = $("include-range").hidden = !zoomed;
  $("scope").value = page.scope;
  $("window").hidden = !["frames", "seconds"].includes(page.scope);
  if (document.activeElement !== $("window")) $("window").value = page.window;
  for (const mode of ["robust", "full"]) {
    $(`y-${mode}`).setAttribute("aria-pressed", String(plots.mode === mode));
  }
}

function plotFailed(error) {
  const message = document.createElement("p");
  message.className = "empty failed";
  message.textContent = globalThis.Plotly
    ? `The plot cannot be drawn: ${error.message}`
    : "The plot library could not be loaded; the figures beside are live. Reload the page.";
  if (!plots.drawn || globalThis.Plotly) {
    plots.drawn = false;
    $("plot").replaceChildren(message);
  }
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// ---- controls ----

function setMode(mode) {
  plots.mode = mode;
  plots.redraw().catch(plotFailed);
  look();
}

function toggleTheme() {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch { /* storage may be forbidden */ }
  plots.redraw().catch(plotFailed);
  spectrum.redraw();
  deeper.redraw();
}

// Zoom to what was found, with some frames on either side.
function showFrames(first, last) {
  const margin = Math.max(EVENT_MARGIN, Math.round((last - first) / 4));
  zoom(Math.max(0, first - margin), last + margin + 1);
}

// The found event to the left (-1) or right (1) of the range shown.
function step(direction) {
  const header = page.tick?.header;
  if (!header) return;
  const zoomed = page.from !== null || page.to !== null;
  const whole = direction > 0 ? -1 : header.n;
  const event = found.beside(zoomed ? (header.from + header.to - 1) / 2 : whole, direction);
  if (event) showFrames(event.first, event.first);
}

function decideRange(excluded) {
  const header = page.tick?.header;
  if (header && plots.zoomed(header)) found.decide(header.from, header.to - 1, excluded);
}

// What the panels are about; a new version says that asking again is worth it.
function about(version) {
  const header = page.tick?.header;
  if (!header?.n) return null;
  return { series: header.series, channel: header.channel, version: version(header) };
}

const KEYS = {
  f: () => choose("live"),
  " ": () => pause(!page.paused),
  r: () => zoom(null, null),
  y: () => setMode(plots.mode === "robust" ? "full" : "robust"),
  d: toggleTheme,
  a: () => alarms.key(),
  "[": () => step(-1),
  "]": () => step(1),
  "?": () => $("keys").showModal(),
  1: () => setScope("whole"),
  2: () => setScope("range"),
  3: () => setScope("frames"),
  4: () => setScope("seconds"),
};

document.addEventListener("keydown", (press) => {
  if (press.ctrlKey || press.metaKey || press.altKey || document.querySelector("dialog[open]")) return;
  if (press.target.closest("input, select, textarea")) return;
  if (press.key === " " && press.target.closest("button, a, summary")) return;
  const action = KEYS[press.key.toLowerCase()];
  if (!action) return;
  press.preventDefault();
  action();
});

figures.makeTable();
const plots = new Plots($("plot"), zoom);
if (url.get("y") === "full") plots.mode = "full";
const events = new Events($("events"), (frame) => zoom(Math.max(0, frame - EVENT_MARGIN), frame + EVENT_MARGIN + 1));
const choice = new SeriesChoice({
  onSeries: choose,
  onChannel: (channel) => {
    page.channel = channel;
    look();
  },
});

const found = new Found({
  wanted: () => page.tick?.header.assessment
    ? about(({ assessment }) => `${assessment.newest} ${assessment.events} ${assessment.excluded}`)
    : null,
  onFound: (what) => plots.setFound(what).catch(plotFailed),
  onPick: ({ first, last }) => {
    showFrames(first, Math.min(last, page.tick.header.n - 1));
    $("plot").scrollIntoView({ block: "nearest" });
  },
  onDecided: () => {
    for (const panel of [notes, spectrum, deeper]) panel.panel.hurry();
  },
});
const notes = new Notes({
  wanted: () => about(() => Math.floor(performance.now() / NOTES_MS)),
  onDecided: () => {
    for (const panel of [found, spectrum, deeper]) panel.panel.hurry();
  },
});
const spectrum = new SpectrumPanel({
  wanted: () => {
    const what = page.tick?.header.assessment && about(({ assessment }) => assessment.made);
    return what && { ...what, from: page.from, to: page.to };
  },
});
const deeper = new DeeperPanel({
  wanted: () => {
    const what = page.tick?.header.assessment && about(({ assessment }) => assessment.made);
    return what && { ...what, from: page.from, to: page.to };
  },
  now: serverNow,
  onShow: ({ first, last }) => {
    zoom(first, last + 1);
    $("plot").scrollIntoView({ block: "nearest" });
  },
  onDecided: () => {
    for (const panel of [found, notes, spectrum]) panel.panel.hurry();
  },
});
new ModulesPanel({ wanted: () => about(({ n }) => n) });
const alarms = new AlarmPanel();
new Compare({ choice, current: () => choice.current });

$("exclude-range").addEventListener("click", () => decideRange(true));
$("include-range").addEventListener("click", () => decideRange(false));
$("follow").addEventListener("click", KEYS.f);
$("pause").addEventListener("click", KEYS[" "]);
$("theme").addEventListener("click", toggleTheme);
$("help").addEventListener("click", KEYS["?"]);
$("reset").addEventListener("click", KEYS.r);
$("y-robust").addEventListener("click", () => setMode("robust"));
$("y-full").addEventListener("click", () => setMode("full"));
$("png").addEventListener("click", () => plots.save(`eigerwatch ${clock(Date.now())}`));
$("scope").addEventListener("change", () => {
  $("scope").blur();
  setScope($("scope").value);
});
$("window").addEventListener("change", () => {
  const value = Number($("window").value);
  if (value > 0) page.window = value;
  look();
});

const connection = new Connection({
  hello: () => {},
  state: receiveState,
  error: ({ text }) => choice.problem(text),
  event: (message) => {
    events.add(message);
    plots.setEvents(events.all);
  },
  tick: receiveTick,
  link: (name, text) => {
    page.link = name;
    pill("link", name, text);
    showAges();
  },
});
plots.clear().catch(plotFailed);
look();
setInterval(showAges, 500);
