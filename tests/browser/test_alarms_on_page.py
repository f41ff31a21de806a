"""Alarms on the page: seen, acknowledged, heard and notified."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import wait_until
from memory_alarms import MemoryAlarms
from memory_store import MemoryStore, growing
from playwright.sync_api import Page, expect
from running_web import RunningWeb

from eigerwatch.sections import TargetSettings
from eigerwatch.store.alarms import Reason, entry_reasons

KEY = "live:01JABC"
HOSTILE = '<img src=x onerror="window.hacked=1"><b>bold</b>'

expect.set_options(timeout=15_000)

AUDIO = """
window.tones = 0;
window.Tone = class {
  constructor() { this.frequency = {}; }
  connect(to) { return to; }
  start() { window.tones += 1; }
  stop() {}
};
window.AudioContext = class {
  constructor() { this.state = "suspended"; this.currentTime = 0; }
  async resume() { if (!window.refusing) this.state = "running"; }
  async suspend() { this.state = "suspended"; }
  createOscillator() { return new Tone(); }
  createGain() {
    const gain = { setValueAtTime() {}, linearRampToValueAtTime() {} };
    return { gain, connect: (to) => to };
  }
};
"""

NOTIFICATION = """
window.shown = [];
window.asked = 0;
window.Notification = class {
  static permission = "default";
  static async requestPermission() {
    window.asked += 1;
    this.permission = window.answer ?? "granted";
    return this.permission;
  }
  constructor(title, options) { window.shown.push([title, options.body]); }
  close() { window.taken = (window.taken ?? 0) + 1; }
};
"""


@pytest.fixture
def targets() -> TargetSettings:
    return TargetSettings(cv_percent=0.01, hold_off_s=0.5)


@pytest.fixture
def kept() -> MemoryAlarms:
    return MemoryAlarms()


@pytest.fixture
def flowing(store: MemoryStore, beam: Any) -> Iterator[threading.Event]:
    """Let frames come until the event is set."""
    store.open(KEY)
    store.append(KEY, beam.totals(2000))
    with growing(store, KEY, beam.totals) as over:
        yield over


@pytest.fixture
def stubbed(watched: Any, web: RunningWeb, flowing: object) -> Iterator[Page]:
    """Return the page with sound and notifications that only tell of themselves."""
    watched.page.add_init_script(AUDIO)
    watched.page.add_init_script(NOTIFICATION)
    watched.page.goto(web.url)
    expect(watched.page.locator("#alarm-word")).to_have_text("ALARM")
    yield watched.page
    watched.check()


def end(flowing: threading.Event, store: MemoryStore) -> None:
    flowing.set()
    store.update(KEY, state="finished")


def test_an_alarm_is_shown_acknowledged_and_ends(
    page: Page, flowing: threading.Event, store: MemoryStore, kept: MemoryAlarms
) -> None:
    strip = page.locator("#alarm")
    expect(strip).to_have_attribute("data-alarm", "new")
    expect(page.locator("#alarm-word")).to_have_text("ALARM")
    expect(page.locator("#alarm-text")).to_contain_text("CV 0.1")
    expect(page.locator("#alarm-text")).to_contain_text("limit 0.01 %")
    expect(strip.locator("use")).to_have_attribute("href", "#a-new")
    page.fill("#author", "Eva")
    page.locator("#author").blur()
    page.keyboard.press("a")
    expect(strip).to_have_attribute("data-alarm", "seen")
    expect(page.locator("#alarm-word")).to_have_text("Alarm seen")
    expect(strip.locator("use")).to_have_attribute("href", "#a-seen")
    expect(page.locator("#alarm-since")).to_contain_text("acknowledged by Eva")
    expect(page.locator("#alarm-acknowledge")).to_be_hidden()
    assert kept.kinds() == ["begin", "acknowledge"]
    end(flowing, store)
    expect(strip).to_be_hidden()
    # Now the same key shows the history.
    page.keyboard.press("a")
    expect(page.locator("#alarms")).to_be_visible()
    expect(page.locator("#alarm-list li")).to_have_count(1)
    expect(page.locator("#alarm-list li")).to_contain_text("limit 0.01 %")
    expect(page.locator("#alarm-list li")).to_contain_text("acknowledged by Eva")
    expect(page.locator("#alarm-list li")).to_contain_text("nothing is wrong any more")
    expect(page.locator("#alarm-now-word")).to_have_text("No alarm")


def test_an_alarm_that_nobody_has_seen_is_not_forgotten(
    page: Page, flowing: threading.Event, store: MemoryStore, kept: MemoryAlarms
) -> None:
    expect(page.locator("#alarm")).to_be_visible()
    end(flowing, store)
    expect(page.locator("#alarm")).to_be_hidden()
    button = page.locator("#alarms-open")
    expect(button).to_have_text("Alarms (1)")
    expect(button).to_have_attribute(
        "aria-label", "Alarms: none; 1 over, not acknowledged"
    )
    page.keyboard.press("a")
    item = page.locator("#alarm-list li")
    expect(item).to_contain_text("not acknowledged")
    item.get_by_role("button", name="Acknowledge the alarm of").focus()
    page.keyboard.press("Enter")
    expect(item).to_contain_text("acknowledged by somebody")
    expect(item.locator("button")).to_have_count(0)
    expect(page.locator("#alarms-close")).to_be_focused()
    expect(button).to_have_text("Alarms")
    assert kept.kinds() == ["begin", "end", "acknowledge"]


def test_a_comment_goes_with_it_and_is_text(
    page: Page, flowing: threading.Event, kept: MemoryAlarms
) -> None:
    expect(page.locator("#alarm")).to_be_visible()
    page.click("#alarms-open")
    page.fill("#alarm-author", HOSTILE)
    page.fill("#alarm-comment", "a")  # the key of acknowledging is a letter here
    assert kept.kinds() == ["begin"]
    page.fill("#alarm-comment", HOSTILE)
    page.keyboard.press("Enter")
    expect(page.locator("#alarm-form")).to_be_hidden()
    expect(page.locator("#alarms-close")).to_be_focused()
    expect(page.locator("#alarm-list li")).to_contain_text(HOSTILE)
    expect(page.locator("#alarm-since")).to_contain_text(HOSTILE)
    assert page.evaluate("() => window.hacked") is None
    assert kept.entries[-1]["comment"] == HOSTILE
    assert kept.entries[-1]["author"] == HOSTILE
    # The name is that of the notes, too.
    expect(page.locator("#author")).to_have_value(HOSTILE)


def test_keys_of_the_page_rest_while_the_list_is_open(
    page: Page, flowing: threading.Event, kept: MemoryAlarms
) -> None:
    expect(page.locator("#alarm")).to_be_visible()
    page.click("#alarms-open")
    theme = page.evaluate("() => document.documentElement.dataset.theme")
    page.keyboard.press("d")
    assert page.evaluate("() => document.documentElement.dataset.theme") == theme
    page.keyboard.press("A")
    expect(page.locator("#alarm-now-word")).to_have_text("Alarm, acknowledged")
    page.keyboard.press("Escape")
    expect(page.locator("#alarms")).to_be_hidden()
    expect(page.locator("#alarms-open")).to_be_focused()


def test_a_new_reason_makes_it_new(
    page: Page, flowing: threading.Event, kept: MemoryAlarms
) -> None:
    expect(page.locator("#alarm")).to_be_visible()
    page.click("#alarm-acknowledge")
    expect(page.locator("#alarm")).to_have_attribute("data-alarm", "seen")
    expect(page.locator("#alarm-more")).to_be_focused()
    alarm = kept.entries[0]["alarm"]
    now_ms = int(time.time() * 1000)
    kept.append(entry_reasons(alarm, [Reason("drift", HOSTILE, now_ms)], now_ms))
    expect(page.locator("#alarm")).to_have_attribute("data-alarm", "new")
    page.click("#alarm-more")
    expect(page.locator("#alarm-list li")).to_contain_text(HOSTILE)
    assert page.evaluate("() => window.hacked") is None


def test_a_store_that_is_away_is_said(
    page: Page, flowing: threading.Event, kept: MemoryAlarms
) -> None:
    expect(page.locator("#alarm")).to_be_visible()
    kept.away = True
    page.click("#alarm-acknowledge")
    expect(page.locator("#alarm-failed")).to_contain_text("Not acknowledged: the store")
    expect(page.locator("#alarm")).to_have_attribute("data-alarm", "new")
    kept.away = False
    page.click("#alarm-acknowledge")
    expect(page.locator("#alarm")).to_have_attribute("data-alarm", "seen")
    expect(page.locator("#alarm-failed")).to_have_text("")


def test_a_refusal_stays_said_while_the_history_is_open(
    page: Page, flowing: threading.Event
) -> None:
    expect(page.locator("#alarm")).to_be_visible()
    page.click("#alarm-more")
    expect(page.locator("#alarm-list li")).to_have_count(1)
    page.route(
        "**/acknowledge",
        lambda route: route.fulfill(status=503, json={"detail": "the store is away"}),
    )
    problem = page.locator("#alarm-problem")
    with page.expect_response("**/api/v1/alarms?*"):  # the list is read again
        page.locator("#alarm-form button").click()
        expect(problem).to_have_text("Not acknowledged: the store is away")
    page.evaluate("() => new Promise((done) => setTimeout(done))")
    expect(problem).to_have_text("Not acknowledged: the store is away")
    page.unroute("**/acknowledge")
    page.locator("#alarm-form button").click()
    expect(page.locator("#alarm-now-word")).to_have_text("Alarm, acknowledged")
    expect(problem).to_have_text("")


def test_sound_repeats_until_somebody_has_seen_it(stubbed: Page) -> None:
    assert stubbed.evaluate("() => window.tones") == 0
    stubbed.click("#alarms-open")
    button = stubbed.locator("#sound")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(stubbed.locator("#sound-text")).to_contain_text("On: a tone repeats")
    first = stubbed.evaluate("() => window.tones")
    assert first >= 2
    stubbed.wait_for_function("(n) => window.tones >= n + 4", arg=first)
    stubbed.keyboard.press("a")
    expect(stubbed.locator("#alarm-now-word")).to_have_text("Alarm, acknowledged")
    silent = stubbed.evaluate("() => window.tones")
    stubbed.wait_for_timeout(5000)  # longer than the tone waits to repeat
    assert stubbed.evaluate("() => window.tones") == silent
    button.click()
    expect(stubbed.locator("#sound-text")).to_have_text("Off.")


def test_sound_begins_again_with_a_click_only(stubbed: Page, web: RunningWeb) -> None:
    stubbed.click("#alarms-open")
    stubbed.click("#sound")
    expect(stubbed.locator("#sound")).to_have_attribute("aria-pressed", "true")
    stubbed.reload()
    expect(stubbed.locator("#alarm-word")).to_have_text("ALARM")
    warnings = stubbed.locator("#warnings")
    expect(warnings).to_contain_text("no alarm sound until somebody clicks")
    stubbed.wait_for_timeout(1000)
    assert stubbed.evaluate("() => window.tones") == 0
    stubbed.click("#alarms-open")
    expect(stubbed.locator("#sound-text")).to_contain_text("On: a tone repeats")
    assert stubbed.evaluate("() => window.tones") >= 2
    expect(warnings).not_to_contain_text("no alarm sound")


def test_keys_that_play_nothing_leave_the_sound_wanted(
    stubbed: Page, web: RunningWeb
) -> None:
    """As browsers have it: neither Escape nor a key like Alt lets a page play."""
    stubbed.click("#alarms-open")
    stubbed.click("#sound")
    expect(stubbed.locator("#sound")).to_have_attribute("aria-pressed", "true")
    stubbed.add_init_script("window.refusing = true;")
    stubbed.reload()
    warnings = stubbed.locator("#warnings")
    expect(warnings).to_contain_text("no alarm sound until somebody clicks")
    for key in ("Escape", "Shift", "Alt"):
        stubbed.keyboard.press(key)
    stubbed.keyboard.press("t")  # one by which it might play, and the browser refuses
    stubbed.wait_for_timeout(2000)
    expect(warnings).to_contain_text("no alarm sound until somebody clicks")
    stubbed.evaluate("() => { window.refusing = false; }")
    stubbed.keyboard.press("t")
    expect(warnings).not_to_contain_text("no alarm sound")
    assert stubbed.evaluate("() => window.tones") >= 2
    # Wanted as it was: after the next reload, too.
    stubbed.reload()
    expect(warnings).to_contain_text("no alarm sound until somebody clicks")


def test_a_browser_that_refuses_sound_is_said(stubbed: Page) -> None:
    stubbed.evaluate("() => { window.refusing = true; }")
    stubbed.click("#alarms-open")
    stubbed.click("#sound")
    expect(stubbed.locator("#sound-text")).to_contain_text("refuses to play sound")
    expect(stubbed.locator("#sound")).to_have_attribute("aria-pressed", "false")
    assert stubbed.evaluate("() => window.tones") == 0
    stubbed.evaluate("() => { window.refusing = false; }")
    stubbed.click("#sound")
    expect(stubbed.locator("#sound-text")).to_contain_text("On: ")


def test_the_tone_is_made_by_the_browser_itself(
    page: Page, flowing: threading.Event
) -> None:
    """With the browser's own AudioContext: on, or said to be refused."""
    expect(page.locator("#alarm")).to_be_visible()
    page.click("#alarms-open")
    page.click("#sound")
    expect(page.locator("#sound-text")).to_contain_text("o")
    expect(page.locator("#sound-text")).not_to_have_text("Off.")


def test_notifications_are_asked_for_by_a_click(
    stubbed: Page, kept: MemoryAlarms
) -> None:
    assert stubbed.evaluate("() => window.asked") == 0
    stubbed.click("#alarms-open")
    button = stubbed.locator("#notifications")
    expect(stubbed.locator("#notifications-text")).to_have_text("Off.")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert stubbed.evaluate("() => window.asked") == 1
    # What was there before is not told again; another reason is.
    assert stubbed.evaluate("() => window.shown") == []
    later_ms = int(time.time() * 1000) + 60_000
    reason = Reason("drift", HOSTILE, later_ms)
    kept.append(entry_reasons(kept.entries[0]["alarm"], [reason], later_ms))
    stubbed.wait_for_function("() => window.shown.length === 1")
    ((title, body),) = stubbed.evaluate("() => window.shown")
    assert title == "Eigerwatch: alarm"
    assert "CV" in body
    assert "; since " in body
    # It goes when somebody has seen the alarm, on whatever page.
    assert stubbed.evaluate("() => window.taken") is None
    stubbed.keyboard.press("a")
    expect(stubbed.locator("#alarm-now-word")).to_have_text("Alarm, acknowledged")
    assert stubbed.evaluate("() => window.taken") == 1
    button.click()
    expect(stubbed.locator("#notifications-text")).to_have_text("Off.")


def test_denied_notifications_are_said(stubbed: Page) -> None:
    stubbed.evaluate("() => { window.answer = 'denied'; }")
    stubbed.click("#alarms-open")
    stubbed.click("#notifications")
    expect(stubbed.locator("#notifications-text")).to_contain_text("Denied")
    expect(stubbed.locator("#notifications")).to_be_disabled()


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("delete window.Notification;", "This browser has none"),
        (
            "Object.defineProperty(window, 'isSecureContext', { value: false });",
            "plain http from another host",
        ),
    ],
)
def test_where_there_are_no_notifications(
    watched: Any, web: RunningWeb, script: str, text: str
) -> None:
    watched.page.add_init_script(script)
    watched.page.add_init_script("delete window.AudioContext;")
    watched.page.goto(web.url)
    watched.page.click("#alarms-open")
    expect(watched.page.locator("#notifications-text")).to_contain_text(text)
    expect(watched.page.locator("#notifications")).to_be_disabled()
    expect(watched.page.locator("#sound-text")).to_contain_text("cannot play sound")
    expect(watched.page.locator("#alarms-none")).to_have_text("None so far.")
    watched.check()


def test_without_live_messages_the_list_is_asked_for(
    watched: Any, web: RunningWeb, flowing: threading.Event, kept: MemoryAlarms
) -> None:
    watched.page.add_init_script(
        "window.WebSocket = class { close() {} constructor() {"
        " setTimeout(() => this.onclose(), 10); } };"
    )
    watched.page.goto(web.url)
    wait_until(lambda: kept.entries, what="alarm")
    expect(watched.page.locator("#alarm-word")).to_have_text("ALARM")
    watched.page.click("#alarm-acknowledge")
    expect(watched.page.locator("#alarm")).to_have_attribute("data-alarm", "seen")
