// Alarms: the one that lasts, those that were, who has seen them, sound and notifications.

import { ask } from "./api.js";
import { clock, day, integer, moment, significant } from "./format.js";
import { set } from "./figures.js";
import { author, setAuthor } from "./notes.js";
import { NOTIFY_WORDS, Notify } from "./notify.js";
import { SOUND_WORDS, Sound } from "./sound.js";

const POLL_MS = 3000; // without live messages
const LIMIT = 100; // alarms listed
const $ = (id) => document.getElementById(id);
const DECISIONS = { no_go: "no go", unknown: "unknown" };

export class AlarmPanel {
  constructor() {
    this.lasting = null;
    this.unseen = 0; // over, and nobody has said that they were seen
    this.version = null;
    this.heardAt = -Infinity;
    this.listed = null;
    this.loading = false;
    this.unlisted = false; // the list did not come, which is said
    this.sound = new Sound({ onChange: () => this.showMeans() });
    this.notify = new Notify({ onChange: () => this.showMeans() });
    $("alarms-open").addEventListener("click", () => this.open());
    $("alarm-more").addEventListener("click", () => this.open());
    $("alarm-acknowledge").addEventListener("click", () => this.acknowledge());
    $("alarm-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.acknowledge($("alarm-comment").value.trim());
    });
    $("alarm-author").addEventListener("change", () => setAuthor($("alarm-author").value));
    $("sound").addEventListener("click", () => this.sound.toggle());
    $("notifications").addEventListener("click", () => this.notify.toggle());
    $("alarms").addEventListener("keydown", (press) => {
      if (press.ctrlKey || press.metaKey || press.altKey) return;
      if (press.key.toLowerCase() !== "a" || press.target.closest("input, textarea")) return;
      press.preventDefault();
      if (this.pending) this.acknowledge($("alarm-comment").value.trim());
    });
    setInterval(() => this.poll(), 1000);
    this.show();
    this.showMeans();
  }

  // Something is wrong, and nobody has said that it was seen.
  get pending() {
    return this.lasting !== null && !this.lasting.acknowledged;
  }

  // What somebody who relies on the sound must know.
  get warning() {
    const { state } = this.sound;
    if (state === "before") return "no alarm sound until somebody clicks on this page or presses a key";
    return state === "refused" ? "the browser refuses to play the alarm sound: see Alarms" : "";
  }

  // By key: acknowledges, or shows what there is.
  key() {
    if (this.pending) this.acknowledge();
    else this.open();
  }

  open() {
    $("alarm-author").value = author();
    this.showMeans();
    if (!$("alarms").open) $("alarms").showModal();
    this.load();
  }

  // brief: { version, lasting, unseen } of a state message; null: it has none.
  take(brief) {
    if (!brief) return;
    this.heardAt = performance.now();
    Object.assign(this, { lasting: brief.lasting, unseen: brief.unseen });
    this.show();
    if (brief.version !== this.version) {
      this.version = brief.version;
      if ($("alarms").open) this.load();
    }
  }

  // Where live messages do not come, the list is asked for.
  poll() {
    if (performance.now() - this.heardAt > POLL_MS) this.load();
  }

  async load() {
    if (this.loading) return;
    this.loading = true;
    try {
      const told = await ask(`/api/v1/alarms?limit=${LIMIT}`);
      if (performance.now() - this.heardAt > POLL_MS) {
        this.lasting = told.lasting && { ...told.lasting, now: told.now };
        this.show();
      }
      this.showHistory(told);
      if (this.unlisted) this.say("");
      this.unlisted = false;
    } catch (error) {
      if ($("alarms").open) {
        this.say(error.message);
        this.unlisted = true;
      }
    } finally {
      this.loading = false;
    }
  }

  async acknowledge(comment = "", alarm = this.lasting) {
    if (!alarm || alarm.acknowledged) return;
    try {
      const body = { author: author(), comment };
      const seen = await ask(`/api/v1/alarms/${encodeURIComponent(alarm.id)}/acknowledge`, { method: "POST", body });
      $("alarm-comment").value = "";
      if (this.lasting?.id === seen.id) this.lasting = { ...seen, now: this.lasting.now };
      this.say("");
    } catch (error) {
      this.say(`Not acknowledged: ${error.message}`);
    }
    this.show();
    if ($("alarms").open) this.load();
  }

  say(text) {
    this.unlisted = false;
    set("alarm-problem", text);
    set("alarm-failed", text);
  }

  // ---- what is shown ----

  show() {
    const { lasting, pending } = this;
    const state = lasting ? (pending ? "new" : "seen") : "none";
    const focused = document.activeElement;
    $("alarm").hidden = !lasting;
    for (const id of ["alarm", "alarms-open", "alarm-now"]) $(id).dataset.alarm = state;
    for (const icon of document.querySelectorAll(".alarm-icon use")) icon.setAttribute("href", `#a-${state}`);
    const label = { none: "Alarms: none", seen: "Alarms: one, acknowledged", new: "Alarms: one, not acknowledged" };
    const over = this.unseen ? `; ${integer(this.unseen)} over, not acknowledged` : "";
    $("alarms-open").setAttribute("aria-label", label[state] + over);
    set("alarms-unseen", this.unseen ? `(${integer(this.unseen)})` : "");
    set("alarm-word", pending ? "ALARM" : "Alarm seen");
    set("alarm-text", lasting ? reasons(lasting).join("; ") : "");
    set("alarm-since", lasting ? sentence(lasting) : "");
    $("alarm-acknowledge").hidden = $("alarm-form").hidden = !pending;
    // A button that vanishes must not lose the focus.
    if (focused === $("alarm-acknowledge") && !pending) $("alarm-more").focus();
    if (!lasting && $("alarm").contains(focused)) $("alarms-open").focus();
    if ($("alarms").open && !pending && $("alarm-form").contains(focused)) $("alarms-close").focus();
    set("alarm-now-word", { none: "No alarm", seen: "Alarm, acknowledged", new: "Alarm" }[state]);
    set("alarm-now-text", lasting ? `${reasons(lasting).join("; ")}; ${sentence(lasting)}` : "Limits are held, or none is set, or no frames come.");
    this.sound.want(pending);
    if (pending) {
      const since = Math.max(...lasting.reasons.map((reason) => reason.since_ms));
      const text = `${reasons(lasting).join("; ")}; since ${moment(since)}`;
      this.notify.tell(`${lasting.id} ${since}`, "Eigerwatch: alarm", text);
    } else {
      this.notify.over();
    }
  }

  showMeans() {
    const sound = this.sound.state;
    $("sound").setAttribute("aria-pressed", String(sound === "on"));
    $("sound").disabled = sound === "unsupported";
    set("sound-text", SOUND_WORDS[sound]);
    const notify = this.notify.state;
    $("notifications").setAttribute("aria-pressed", String(notify === "on"));
    $("notifications").disabled = !["on", "off"].includes(notify);
    set("notifications-text", NOTIFY_WORDS[notify]);
  }

  showHistory({ alarms, kept }) {
    const text = JSON.stringify(alarms);
    if (text === this.listed) return;
    this.listed = text;
    set("alarms-count", alarms.length ? `(${alarms.length}${alarms.length === LIMIT ? " newest" : ""})` : "");
    set("alarms-none", alarms.length ? "" : "None so far.");
    set("alarms-kept", kept ? "" : "This history ends with the service: it has no store for it.");
    const focused = $("alarm-list").contains(document.activeElement);
    $("alarm-list").replaceChildren(...alarms.map((alarm) => item(alarm, () => this.acknowledge("", alarm))));
    if (focused) $("alarms-close").focus();
  }
}

// The figures as they are now; as they began where nothing is wrong at this moment.
function reasons(alarm) {
  return alarm.now?.length ? alarm.now : alarm.reasons.map((reason) => reason.text);
}

function sentence(alarm) {
  const parts = [`since ${moment(alarm.began_ms)}`];
  if (alarm.now && !alarm.now.length) parts.push("not so just now");
  if (alarm.acknowledged) parts.push(seen(alarm.acknowledgements.at(-1)));
  return parts.join(", ");
}

function seen({ ms, author: who, comment }) {
  return `acknowledged by ${who || "somebody"} at ${moment(ms)}${comment ? `: ${comment}` : ""}`;
}

// onSeen(): somebody says that they have seen it.
function item(alarm, onSeen) {
  const lasts = alarm.ended_ms === null;
  const state = lasts ? (alarm.acknowledged ? "seen" : "new") : "none";
  const element = document.createElement("li");
  element.dataset.alarm = state;
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  icon.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#a-${state}`);
  icon.append(use);
  const words = document.createElement("div");
  const sameDay = !lasts && day(alarm.began_ms) === day(alarm.ended_ms);
  const until = lasts ? ", lasts" : ` to ${sameDay ? clock(alarm.ended_ms) : moment(alarm.ended_ms)}`;
  words.append(
    line("b", `${day(alarm.began_ms)} ${clock(alarm.began_ms)}${until}`),
    line("small", `${DECISIONS[alarm.decision] ?? alarm.decision} · ${alarm.series ?? "no series"}`),
    ...alarm.reasons.map((reason) => line("p", worst(reason))),
    ...alarm.acknowledgements.map((one) => line("p", seen(one), "calm")),
  );
  if (!alarm.acknowledged) words.append(line("p", "not acknowledged", "calm"));
  if (!alarm.acknowledged && !lasts) words.append(seenButton(alarm, onSeen));
  if (alarm.ending) words.append(line("p", `ended: ${alarm.ending}`, "calm"));
  element.append(icon, words);
  return element;
}

function seenButton(alarm, onSeen) {
  const button = line("button", "Acknowledge");
  button.type = "button";
  button.setAttribute("aria-label", `Acknowledge the alarm of ${moment(alarm.began_ms)}`);
  button.addEventListener("click", onSeen);
  return button;
}

function worst({ text, value, worst: most }) {
  return most !== null && most > value ? `${text}; at worst ${significant(most)} %` : text;
}

function line(tag, text, className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}
