// The browser's own notifications: asked for by a click, never by themselves.

import { remember, remembered } from "./memory.js";

const KEY = "alarm-notifications";

export class Notify {
  // onChange(): the state is another one now.
  constructor({ onChange }) {
    this.onChange = onChange;
    this.wanted = remembered(KEY) === "on";
    this.failed = false;
    this.told = null;
    this.shown = null;
  }

  // insecure, unsupported, denied, off, on
  get state() {
    if (!globalThis.isSecureContext) return "insecure";
    if (!globalThis.Notification || this.failed) return "unsupported";
    if (Notification.permission === "denied") return "denied";
    return this.wanted && Notification.permission === "granted" ? "on" : "off";
  }

  async toggle() {
    const { state } = this;
    if (state === "on") {
      this.wanted = false;
    } else if (state === "off") {
      if (Notification.permission !== "granted") await Notification.requestPermission();
      this.wanted = Notification.permission === "granted";
    }
    remember(KEY, this.wanted ? "on" : "off");
    this.onChange();
  }

  // Tells of an alarm once; `key` changes when it is new again.
  tell(key, title, body) {
    if (key === this.told) return;
    this.told = key;
    if (this.state !== "on") return;
    try {
      const shown = new Notification(title, { body, tag: "eigerwatch-alarm", renotify: true, requireInteraction: true });
      shown.onclick = () => {
        window.focus();
        shown.close();
      };
      this.shown = shown;
    } catch { // phones have the class, but want a service worker
      this.failed = true;
      this.onChange();
    }
  }

  // Somebody has seen it, or nothing is wrong any more.
  over() {
    this.shown?.close();
    this.shown = null;
  }
}

export const NOTIFY_WORDS = {
  insecure: "Not available: browsers give notifications to https and to this machine only, and this page came by plain http from another host.",
  unsupported: "This browser has none for pages.",
  denied: "Denied: the browser's settings for this page must allow them first.",
  off: "Off.",
  on: "On: an alarm is shown also when this page is hidden.",
};
