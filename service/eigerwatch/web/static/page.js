// Joins connection, plots, figures and controls.

import { AlarmPanel } from "./alarms.js";
import { showTiles } from "./assessment.js";
import { withoutBeam } from "./beam.js";
import { Connection } from "./connection.js";
import { showDownloads } from "./downloads.js";
import { Events } from "./events.js";
import * as figures from "./figures.js";
import { clock } from "./format.js";
import { copy, linkOf } from "./link.js";
import { remember } from "./memory.js";
import { Overview } from "./overview.js";
import { Panels } from "./panels.js";
import { loadPlotly } from "./plotly.js";
import { Plots } from "./plots.js";
import { RangeFields } from "./range-fields.js";
import { Ranges } from "./ranges.js";
import { Reference } from "./reference.js";
import { ReplayPanel } from "./replay.js";
import { SeriesChoice } from "./series.js";
import { serverClock } from "./server-clock.js";
import { SettingsPanel } from "./settings.js";
import { pill, showStanding } from "./standing.js";
import { nextTask, painted } from "./task.js";
import { say } from "./toast.js";
import { Toolbar } from "./toolbar.js";
import { Update } from "./update.js";
import { WINDOWED, readView, writeView } from "./url.js";
import { setWall } from "./wall.js";
import { warningsOf } from "./warnings.js";

const DRAWN_ONLY = ["y", "half", "axis", "layout"]; // the same values, drawn otherwise
const WITHOUT_TICK_MS = 3000; // then the plot library is started all the same
const $ = (id) => document.getElementById(id);

const update = new Update();
const { view, problems } = readView(location.search);
const page = {
  problems,
  paused: false,
  held: null, // so many frames there were when it was paused
  wanted: false, // one tick, although paused: what is shown was chosen anew
  started: false, // the plot library
  link: "disconnected",
  state: null,
  tick: null,
  lagMs: null,
  serverNow: () => serverClock.now(),
  problem: null, // why there is no view as asked for
};

// Of the tick shown, or null.
function header() {
  return page.tick?.header ?? null;
}

// ---- what is asked of the server ----

function look() {
  const held = page.paused ? header() : null; // "live" may be another series by now
  connection.look({
    series: held?.series ?? view.series,
    channel: view.channel ?? held?.channel ?? null,
    region: view.region,
    from: view.from,
    to: view.to ?? page.held,
    px: plotWidth(),
    scope: view.scope,
    window: view.window,
    unit: view.unit,
  });
  const query = writeView(view);
  if (query !== location.search) history.replaceState(null, "", query || location.pathname);
  plots.aim().catch(plotFailed);
  showControls();
}

function plotWidth() {
  return Math.max(300, $("plot").clientWidth);
}

function choose(series) {
  Object.assign(view, { series, channel: null, region: null, from: null, to: null });
  Object.assign(page, { paused: false, problems: [], problem: null });
  clear();
  look();
}

// Other choices than the series.
function change(choices) {
  Object.assign(view, choices);
  if (DRAWN_ONLY.some((name) => name in choices)) plots.redraw().catch(plotFailed);
  if ("ref" in choices) reference.offer(choice.list, choice.current, view.ref);
  page.wanted = page.paused; // the frames that stand there, otherwise shown
  look();
}

function pause(paused) {
  Object.assign(page, { paused, held: paused ? header()?.n || null : null });
  showControls();
  showAges();
  if (!paused) look();
}

// The address was changed by going back or forth.
function readAddress() {
  const read = readView(location.search);
  const other = read.view.series !== view.series;
  if (read.view.theme) setTheme(read.view.theme);
  ranges.note();
  Object.assign(view, read.view);
  Object.assign(page, { problems: read.problems, problem: null });
  setWall(view.wall);
  if (other) clear();
  change({ y: view.y, ref: view.ref });
}

// ---- what comes from the server ----

// Whether a tick shows what is chosen now: one made before may still come.
function answers({ series, channel, region, unit, stats, n, from, to }) {
  const held = header();
  const there = series === held?.series && channel === (view.channel ?? held.channel);
  const same = view.region === null || view.region === region || !Number.isNaN(Number(view.region));
  const counted = stats.scope === view.scope && (!WINDOWED.includes(view.scope) || stats.last === view.window);
  const wanted = ranges.clipped(Math.min(page.held ?? n, n));
  return there && same && counted && unit === view.unit && from === wanted.from && to === wanted.to;
}

async function receiveTick(tick) {
  const told = tick.header;
  if (view.series !== "live" && told.series !== view.series) return; // was chosen before
  if (page.paused && !(page.wanted && answers(told))) return;
  page.wanted = false;
  const other = page.tick && page.tick.header.series !== told.series;
  page.tick = tick;
  page.problem = null;
  if (other) {
    ranges.forget();
    page.held &&= told.n;
  }
  choice.shown(told.series, told.channel);
  if (other || events.series !== told.series || events.count < told.ev_seq) {
    if (other && (view.from !== null || view.to !== null || view.channel !== null)) {
      change({ channel: null, from: null, to: null });
    }
    events.load(told.series);
  }
  // An address may count regions; from now on it says the name.
  const counted = view.region !== null && !told.regions.includes(view.region);
  if (counted && told.region !== null) change({ region: told.region });
  const dark = withoutBeam(page.state, told);
  showTiles(told, dark);
  figures.showTable(told.stats, dark);
  showDownloads(view, told);
  showControls();
  showAges();
  if (document.hidden) return; // the figures stand in the title
  await nextTask(); // figures and plot in separate ones
  if (page.tick !== tick) return;
  try {
    await plots.draw(tick);
  } catch (error) {
    plotFailed(error);
  }
  await painted();
  page.lagMs = told.t_newest ? Math.max(0, page.serverNow() - told.t_newest) : null;
  markDrawn();
  if (!page.started) setTimeout(() => startPlotly().catch(plotFailed)); // after this is on the screen
}

function receiveState(state) {
  page.state = state;
  serverClock.hear(state.now);
  update.hear(state.files);
  alarms.take(state.alarms);
  choice.refreshIfNew(state.series, state.source, state.others);
  if (view.wall) update.reloadWall(state.source);
  const warnings = [...warningsOf(state), update.text, alarms.warning].filter(Boolean).map((text) => {
    const item = document.createElement("span");
    item.textContent = text;
    return item;
  });
  $("warnings").replaceChildren(...warnings);
  if (state.series === null && view.series === "live") {
    if (page.tick) clear();
    startPlotly().catch(plotFailed); // no tick will come
  }
  showAges();
}

// What cannot be shown; without the region, the series can.
function refused({ text, about }) {
  if (about === "region") {
    page.problems = [`${text}.`];
    change({ region: null });
  } else {
    page.problem = text;
    choice.problem(text);
  }
  showAges();
}

function clear() {
  Object.assign(page, { tick: null, held: null });
  ranges.forget();
  showTiles(null);
  figures.showTable(null);
  showDownloads(view, null);
  events.forget();
  plots.setEvents([]);
  plots.clear().catch(plotFailed);
  showAges();
}

// ---- what is shown ----

function showAges() {
  const shown = header();
  showStanding(page, view, { zoomed: Boolean(shown && plots.zoomed(shown)), onSeries: choose });
}

function showControls() {
  toolbar.show(header(), page.paused);
  fields.show();
  overview.place();
}

function plotFailed(error) {
  plots.drop(`The plot cannot be drawn: ${error.message}`);
}

// Once the page shows something: starting the library takes a second.
async function startPlotly() {
  if (page.started) return;
  page.started = true;
  try {
    await loadPlotly();
  } catch {
    plots.warn("The plot library could not be loaded: curves alone are drawn. Reload the page.");
    return;
  }
  panels.redraw();
  await plots.redraw();
  markDrawn();
}

// What has been drawn, for whoever looks from outside.
function markDrawn() {
  if (!page.tick) return;
  const { seq, n } = page.tick.header;
  Object.assign(document.body.dataset, plots.drawn ? { seq, frames: n } : { sketched: n });
}

// ---- controls ----

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  plots.redraw().catch(plotFailed);
  panels.redraw();
}

function toggleTheme() {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  remember("theme", theme);
  setTheme(theme);
  change({ theme });
}

function toggleWall() {
  setWall(!view.wall);
  change({ wall: !view.wall });
}

async function copyLink() {
  const link = linkOf(view, header() && { ...header(), ...ranges.wanted });
  say((await copy(link)) ? "Link copied: it shows these frames of this series" : link);
}

// About the frames that the axes show, whether the server has answered or not.
async function decideRange(excluded) {
  const { chosen } = ranges;
  if (!chosen) return say("The whole series is shown: zoom to the frames meant first");
  say(await panels.found.decide(chosen, excluded, { series: header().series }));
}

const alarms = new AlarmPanel();
const ranges = new Ranges({
  view,
  length: () => page.held ?? header()?.n ?? 0,
  onRange: (from, to) => change({ from, to }),
});
const fields = new RangeFields(ranges);
const overview = new Overview($("overview"), {
  ranges,
  wanted: () => {
    const told = header();
    return told && { series: told.series, channel: told.channel, region: told.region, version: told.n };
  },
});
const toolbar = new Toolbar(view, {
  follow: () => choose("live"),
  pause: () => pause(!page.paused),
  ranges,
  theme: toggleTheme,
  wall: toggleWall,
  link: copyLink,
  png: () => plots.save(`eigerwatch ${clock(Date.now())}`).catch((error) => say(`No image: ${error.message}`)),
  step: (direction) => ranges.step(direction, panels.found),
  decide: decideRange,
  undo: async () => say(await panels.undo()),
  choose: change,
}, { a: () => alarms.key() });
figures.makeTable();
setWall(view.wall);
const plots = new Plots($("plot"), view, ranges);
const events = new Events($("events"), {
  onPick: (frame) => ranges.around(frame, frame),
  onRead: () => {
    plots.setEvents(events.all);
    plots.redraw().catch(plotFailed);
  },
});
const reference = new Reference({
  wanted: () => {
    if (!view.ref || !header()?.n) return null;
    const { channel, region, unit, from, to } = view;
    return { ref: view.ref, channel, region, unit, from, to, px: plotWidth() };
  },
  shown: header,
  onTrace: (trace) => plots.setReference(trace).catch(plotFailed),
  onChoice: (ref) => change({ ref }),
});
const choice = new SeriesChoice({
  onSeries: choose,
  onChannel: (channel) => change({ channel }),
  onList: (list, current) => reference.offer(list, current, view.ref),
});

const panels = new Panels({
  view,
  header,
  choice,
  onFound: (what) => plots.setFound(what).catch(plotFailed),
  now: page.serverNow,
  onShow: ({ first, last }) => {
    ranges.show(first, last + 1);
    $("plot").scrollIntoView({ block: "nearest" });
  },
  onPick: ({ first, last }) => {
    ranges.around(first, Math.min(last, header().n - 1));
    $("plot").scrollIntoView({ block: "nearest" });
  },
});
new ReplayPanel({ onShow: choose });
new SettingsPanel();

addEventListener("popstate", readAddress);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && page.tick) plots.draw(page.tick).then(markDrawn, plotFailed);
});

const connection = new Connection({
  state: receiveState,
  error: refused,
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
plots.redraw().catch(plotFailed);
look();
setTimeout(() => startPlotly().catch(plotFailed), WITHOUT_TICK_MS);
setInterval(showAges, 500);
