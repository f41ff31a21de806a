// The page of all runs: joins filter, table, choice, comparison and trend.

import { ask } from "./api.js";
import { set } from "./figures.js";
import { integer } from "./format.js";
import { remember } from "./memory.js";
import { Chosen, MOST_COMPARED } from "./runs-chosen.js";
import { RunsCompare } from "./runs-compare.js";
import { RunsTable } from "./runs-table.js";
import { Trend } from "./trend.js";

const EVERY_MS = 10000;
const TYPING_MS = 300;
const PAGE = 50; // runs on a page
const MOST_LINKED = 50; // chosen ones in the address
const ASKED_AGAIN = 2; // times, ...
const ASK_AGAIN_MS = 2500; // ... so far apart
const FILTERS = ["q", "source", "tag", "from", "to"];
const UPWARDS = ["series", "source", "detector"]; // what begins with the smallest
const $ = (id) => document.getElementById(id);

const url = new URLSearchParams(location.search);
const view = {
  sort: url.get("sort") ?? "started",
  order: url.get("order") === "asc" ? "asc" : "desc",
  page: /^[1-9]\d{0,5}$/.test(url.get("page") ?? "") ? Number(url.get("page")) : 1,
  tag: url.get("tag") ?? "",
  compared: false,
};
for (const id of FILTERS) if (id !== "tag") $(id).value = url.get(id) ?? "";

let asked = 0;
let dueAt = 0;
let told = null;
let version = 0;

// ---- what is asked of the server ----

function filters() {
  const given = { q: $("q").value.trim(), source: $("source").value, tag: view.tag, from: $("from").value, to: $("to").value };
  return Object.entries(given).filter(([, value]) => value !== "");
}

// Days are the browser's; "to" is included.
function filterQuery() {
  const query = new URLSearchParams();
  for (const [name, value] of filters()) {
    if (name !== "from" && name !== "to") {
      query.set(name, value);
      continue;
    }
    const date = new Date(`${value}T00:00`);
    if (name === "to") date.setDate(date.getDate() + 1);
    if (!Number.isNaN(date.getTime())) query.set(name, date.toISOString());
  }
  return query.toString();
}

async function load() {
  asked += 1;
  const mine = asked;
  dueAt = performance.now() + EVERY_MS;
  const query = new URLSearchParams(filterQuery());
  query.set("sort", view.sort);
  query.set("order", view.order);
  query.set("limit", PAGE);
  query.set("offset", (view.page - 1) * PAGE);
  let problem = "";
  try {
    const answer = await ask(`/api/v1/runs?${query}`);
    if (mine !== asked) return;
    const pages = Math.max(1, Math.ceil(answer.total / PAGE));
    if (view.page > pages) return change({ page: pages });
    told = answer;
    show();
  } catch (error) {
    if (mine !== asked) return;
    problem = `The list does not come: ${error.message}`;
  }
  $("problem").hidden = !problem;
  set("problem", problem);
}

function change(changes) {
  Object.assign(view, { page: 1 }, changes);
  writeAddress();
  $("clear").disabled = filters().length === 0;
  version += 1;
  return load();
}

// So that it can be sent to somebody else: the choice and its comparison, too.
function writeAddress() {
  const query = new URLSearchParams(filters());
  if (view.sort !== "started" || view.order !== "desc") {
    query.set("sort", view.sort);
    query.set("order", view.order);
  }
  if (view.page > 1) query.set("page", view.page);
  for (const key of chosen.keys.slice(0, MOST_LINKED)) query.append("run", key);
  if (view.compared) query.set("compare", "1");
  if (view.compared && compare.address) query.set("traces", compare.address);
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

// The runs that the address says are chosen. The server's list may be seconds behind:
// what it lacks is asked for again.
async function readChoice() {
  const keys = url.getAll("run").slice(0, MOST_LINKED);
  const found = new Map();
  let missing = keys;
  for (let left = ASKED_AGAIN; missing.length && left >= 0; left -= 1) {
    if (left < ASKED_AGAIN) await pause(ASK_AGAIN_MS);
    const query = new URLSearchParams({ sparkline: false, limit: MOST_LINKED });
    for (const key of missing) query.append("series", key);
    for (const run of (await ask(`/api/v1/runs?${query}`)).runs) found.set(run.series, run);
    missing = keys.filter((key) => !found.has(key));
  }
  const runs = keys.filter((key) => found.has(key)).map((key) => found.get(key));
  view.compared = url.get("compare") === "1" && runs.length >= 2 && runs.length <= MOST_COMPARED;
  for (const run of runs) chosen.choose(run, true);
  $("lost").hidden = !missing.length;
  set("lost", `Not stored any more: ${missing.join(", ")}`);
  if (view.compared) await compare.show(runs, url.get("traces") ?? "");
}

function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

// ---- what is shown ----

function show() {
  const { runs, total, all, pending, offset } = told;
  table.showOrder(view.sort, view.order);
  table.show(runs);
  chosen.learn(runs);
  showTags(told.tags);
  const what = `${integer(all)} ${all === 1 ? "run" : "runs"}`;
  const some = total === all ? what : `${integer(total)} of ${what}`;
  set("count", pending ? `${some}, ${integer(pending)} not judged yet` : some);
  $("runs").hidden = total === 0;
  $("empty").hidden = total > 0;
  set("empty", all === 0
    ? "No run is stored yet: the first one appears here when the detector is armed."
    : "No run fits: search for less, or clear the filter.");
  set("page", total ? `${integer(offset + 1)} to ${integer(offset + runs.length)} of ${integer(total)}` : "");
  // The button that somebody has just pressed must not lose the focus.
  $("previous").disabled = view.page === 1 && document.activeElement !== $("previous");
  $("next").disabled = offset + runs.length >= total && document.activeElement !== $("next");
  version += 1;
  document.body.dataset.loaded = String(asked);
}

function showTags(tags) {
  const listed = view.tag && !tags.includes(view.tag) ? [view.tag, ...tags] : tags;
  const seen = JSON.stringify(listed);
  if ($("tag").dataset.seen !== seen) {
    $("tag").dataset.seen = seen;
    $("tag").replaceChildren(option("", "all"), ...listed.map((tag) => option(tag, tag)));
    $("known-tags").replaceChildren(...tags.map((tag) => option(tag, "")));
  }
  $("tag").value = view.tag;
}

function option(value, text) {
  const element = document.createElement("option");
  element.value = value;
  element.textContent = text;
  return element;
}

// ---- controls ----

const table = new RunsTable({
  onSort: (sort) => {
    const first = UPWARDS.includes(sort) ? "asc" : "desc";
    const other = view.order === "asc" ? "desc" : "asc";
    change({ sort, order: view.sort === sort ? other : first });
  },
  onChoose: (run, yes) => chosen.choose(run, yes),
  onTag: (tag) => change({ tag }),
  isChosen: (series) => chosen.has(series),
});
const compare = new RunsCompare({
  onClose: () => {
    view.compared = false;
    writeAddress();
    $("compare").focus();
  },
  onChange: writeAddress,
});
const chosen = new Chosen({
  onChange: () => {
    table.showChosen();
    writeAddress();
  },
  onDone: load,
  onCompare: (runs) => {
    view.compared = true;
    const shown = compare.show(runs);
    writeAddress();
    return shown;
  },
});
const trend = new Trend({ wanted: () => (told ? { query: filterQuery(), version } : null) });

let typing = 0;
$("q").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => change({}), TYPING_MS);
});
$("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  change({});
});
for (const id of ["source", "from", "to"]) $(id).addEventListener("change", () => change({}));
$("tag").addEventListener("change", () => change({ tag: $("tag").value }));
$("clear").addEventListener("click", () => {
  for (const id of FILTERS) $(id).value = "";
  change({ tag: "" });
  $("q").focus();
});
$("previous").addEventListener("click", () => view.page > 1 && change({ page: view.page - 1 }));
$("next").addEventListener("click", () => told.offset + told.runs.length < told.total && change({ page: view.page + 1 }));
$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  remember("theme", root.dataset.theme);
  trend.redraw();
  compare.redraw();
});

$("clear").disabled = filters().length === 0;
load().then(readChoice).catch((error) => {
  $("lost").hidden = false;
  set("lost", `The chosen runs do not come: ${error.message}`);
});
setInterval(() => {
  if (!document.hidden && performance.now() >= dueAt) load();
}, 500);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && performance.now() >= dueAt) load();
});
