// One live connection: WebSocket with retry and watchdog, polling where it is blocked.

import { Pace } from "./pace.js";
import { Sleep } from "./sleep.js";
import { decodeTick } from "./tick.js";

const STALE_MS = 3000; // no message for so long: the values are old
const GIVE_UP_MS = 10000; // ... and for so long: connect anew
const RETRY_S = [1, 2, 3];
const FAILURES_BEFORE_POLLING = 3;

export class Connection {
  // on: { state, event, error, tick(tick) -> promise, link(name, text) }
  constructor(on) {
    this.on = on;
    this.view = { series: "live" };
    this.epoch = null;
    this.failures = 0;
    this.polled = { seq: 0, stateAt: 0 };
    this.pace = new Pace();
    this.sleep = new Sleep();
    this.link = null;
    this.lastMessage = performance.now();
    this.openedAt = this.lastMessage;
    this.polledAt = -Infinity; // when polling last brought something
    setInterval(() => this.watch(), 250);
    this.open();
  }

  // What to show: { series, channel, from, to, px, scope, window }.
  look(view) {
    this.view = view;
    this.polled.seq = 0;
    this.sendView();
  }

  sendView() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify({ t: "view", ...this.view, hz: this.pace.hz }));
  }

  open() {
    this.retryAt = null;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/api/v1/live`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.openedAt = performance.now();
    socket.onopen = () => this.sendView();
    socket.onmessage = (message) => {
      if (this.socket === socket) this.receive(message.data);
    };
    socket.onclose = () => {
      if (this.socket === socket) this.closed();
    };
  }

  closed() {
    this.socket = null;
    this.failures += 1;
    const wait = RETRY_S[Math.min(this.failures, RETRY_S.length) - 1];
    this.retryAt = performance.now() + 1000 * wait;
    if (this.failures >= FAILURES_BEFORE_POLLING && !this.polling) {
      this.polling = true;
      this.poll();
    }
    this.watch();
  }

  receive(data) {
    this.lastMessage = performance.now();
    // Not before: some accept a connection and let nothing through.
    this.failures = 0;
    this.polling = false;
    if (typeof data !== "string") {
      this.draw(decodeTick(data));
    } else {
      const message = JSON.parse(data);
      if (message.t === "hello") {
        this.newEpoch(message.epoch);
      } else if (message.t in this.on) {
        this.on[message.t](message);
      }
    }
    this.watch();
  }

  newEpoch(epoch) {
    if (this.epoch !== null && this.epoch !== epoch) this.polled.seq = 0;
    this.epoch = epoch;
  }

  async draw(tick) {
    const socket = this.socket;
    const start = performance.now();
    try {
      await this.on.tick(tick);
    } finally {
      const spent = performance.now() - start;
      if (socket?.readyState === WebSocket.OPEN) {
        const ack = { t: "ack", seq: tick.header.seq, draw_ms: Math.round(spent) };
        socket.send(JSON.stringify(ack));
      }
      if (this.pace.drawn(spent)) this.sendView();
    }
  }

  // The same bytes by HTTP, while no WebSocket gets through.
  async poll() {
    const loop = Symbol("poll");
    this.loop = loop; // an older one that still waits ends then
    while (this.polling && this.loop === loop) {
      try {
        await this.pollOnce();
        this.lastMessage = this.polledAt = performance.now();
      } catch { /* the watchdog tells */ }
      this.watch();
      await new Promise((done) => setTimeout(done, 300));
    }
  }

  async pollOnce() {
    const query = new URLSearchParams({ since: this.polled.seq });
    for (const [name, value] of Object.entries(this.view)) {
      if (value !== null && value !== undefined) query.set(name, value);
    }
    if (performance.now() - this.polled.stateAt > 1000) {
      const status = await fetchChecked("/api/v1/status");
      this.polled.stateAt = performance.now();
      const state = await status.json();
      this.on.state({ ...state, since: state.since_ms, now: state.now_ms });
    }
    const response = await fetchChecked(`/api/v1/tick?${query}`, [204, 404]);
    if (response.status === 404) {
      const { detail } = await response.json();
      const about = response.headers.get("X-Refused");
      // That there is no live series yet is no error: the state says so.
      if (about || this.view.series !== "live") this.on.error({ text: detail, about });
    }
    if (response.status !== 200 || !this.polling) return;
    const tick = decodeTick(await response.arrayBuffer());
    this.newEpoch(tick.header.epoch);
    this.polled.seq = tick.header.seq;
    await this.on.tick(tick);
  }

  watch() {
    const asleep = this.sleep.missed();
    for (const time of ["lastMessage", "openedAt", "polledAt"]) this[time] -= asleep;
    const now = performance.now();
    const silent = now - Math.max(this.lastMessage, this.openedAt);
    if (this.retryAt !== null && now >= this.retryAt) this.open();
    if (silent > GIVE_UP_MS && this.socket) {
      const dead = this.socket;
      this.socket = null;
      dead.close();
      this.closed();
      return;
    }
    const open = this.socket?.readyState === WebSocket.OPEN;
    if (this.polling && now - this.polledAt <= STALE_MS) {
      this.tell("connected", "by polling");
    } else if (open) {
      const stale = silent > STALE_MS;
      this.tell(stale ? "stale" : "connected", stale ? `${Math.floor(silent / 1000)} s` : "");
    } else {
      const left = this.retryAt === null ? 0 : Math.ceil((this.retryAt - now) / 1000);
      this.tell("disconnected", left > 0 ? `retry in ${left} s` : "trying");
    }
  }

  tell(name, text) {
    const link = `${name} ${text}`;
    if (link !== this.link) {
      this.link = link;
      this.on.link(name, text);
    }
  }
}

async function fetchChecked(url, also = []) {
  const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
  if (!response.ok && !also.includes(response.status)) throw new Error(`HTTP ${response.status}`);
  return response;
}
