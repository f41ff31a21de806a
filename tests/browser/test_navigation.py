"""Which frames are shown, by keys and by numbers, and decisions about them."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from memory_store import MemoryNotes, MemoryStore
from page_address import address_of
from playwright.sync_api import Page, WebSocketRoute, expect

KEY = "live:01JABC"
OTHER = "live:01JOLD"
N = 4000

expect.set_options(timeout=15_000)

AXES = """() => [...document.querySelectorAll("#plot .figure")]
  .map((figure) => figure.layout.xaxis.range.map((at) => at + 0.5))"""


@pytest.fixture
def collecting(store: MemoryStore, beam: Any) -> MemoryStore:
    store.open(KEY, number_of_images=100_000)
    store.append(KEY, beam.totals(N))
    return store


@pytest.fixture
def drawn(page: Page, collecting: MemoryStore) -> Page:
    """Return the page with the whole series drawn, and no field in use."""
    await_drawn(page, N)
    return page


def await_drawn(page: Page, n: int) -> None:
    expect(page.locator("body")).to_have_attribute("data-frames", str(n))


def wanted(page: Page) -> tuple[int, int] | None:
    """Return first and last frame that the address says; None: the whole series."""
    query = parse_qs(urlsplit(address_of(page)).query)
    if "from" not in query:
        return None
    return int(query["from"][0]), int(query["to"][0]) - 1


def grouped(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


def await_shown(page: Page, first: int, last: int) -> None:
    """Wait until the server has answered and everything says the same range."""
    text = f"frames {grouped(first)} to {grouped(last)},"
    expect(page.locator("#range")).to_contain_text(text)
    expect(page.locator("#frame-from")).to_have_value(str(first))
    expect(page.locator("#frame-to")).to_have_value(str(last))
    assert wanted(page) == (first, last)
    await_axes(page, first, last)


def await_whole(page: Page) -> None:
    expect(page.locator("#range")).to_have_text("whole series")
    expect(page.locator("#frame-from")).to_have_value("")
    expect(page.locator("#frame-to")).to_have_value("")
    assert wanted(page) is None


def await_axes(page: Page, first: int, last: int) -> None:
    """Wait until all three parts of the plot show these frames."""
    page.wait_for_function(
        f"(wanted) => ({AXES})().every((axis) => String(axis) === String(wanted))",
        arg=[first, last + 1],
    )


def type_range(page: Page, first: int | str, last: int | str) -> None:
    page.fill("#frame-from", str(first))
    page.fill("#frame-to", str(last))
    page.keyboard.press("Enter")


def drag(page: Page, begin: float, end: float) -> None:
    """Zoom by mouse, between two parts of the plot's width."""
    box = page.locator("#plot .nsewdrag").first.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * begin, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, y, steps=5)
    page.mouse.up()


def said(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator("#said")).to_contain_text(text)


# ---- keys ----


def test_keys_zoom_about_the_middle(drawn: Page) -> None:
    drawn.keyboard.press("-")  # there is nothing outside
    assert wanted(drawn) is None
    drawn.keyboard.press("+")
    await_shown(drawn, 1000, 2999)
    drawn.keyboard.press("=")
    await_shown(drawn, 1500, 2499)
    drawn.keyboard.press("-")
    await_shown(drawn, 1000, 2999)
    drawn.keyboard.press("-")
    await_whole(drawn)


def test_zooming_out_at_an_end_stays_in_the_series(drawn: Page) -> None:
    type_range(drawn, 3900, 3999)
    await_shown(drawn, 3900, 3999)
    drawn.keyboard.press("-")
    await_shown(drawn, 3800, 3999)


def test_zooming_in_ends_at_one_frame(drawn: Page) -> None:
    type_range(drawn, 70, 72)
    for _ in range(4):
        drawn.keyboard.press("+")
    first, last = wanted(drawn) or (-1, -1)
    assert 70 <= first == last <= 72
    drawn.keyboard.press("-")
    first, last = wanted(drawn) or (-1, -1)
    assert last == first + 1


def test_keys_pan_within_the_series(drawn: Page) -> None:
    drawn.keyboard.press("ArrowLeft")  # the whole series cannot be moved
    assert wanted(drawn) is None
    type_range(drawn, 300, 1099)
    drawn.keyboard.press("ArrowRight")
    await_shown(drawn, 500, 1299)
    for _ in range(4):
        drawn.keyboard.press("ArrowLeft")
    await_shown(drawn, 0, 799)
    type_range(drawn, 3150, 3949)
    drawn.keyboard.press("ArrowRight")
    await_shown(drawn, 3200, 3999)


def test_a_followed_series_is_zoomed_as_it_is_now(
    drawn: Page, collecting: MemoryStore, beam: Any
) -> None:
    collecting.append(KEY, beam.totals(4000))
    await_drawn(drawn, 8000)
    drawn.keyboard.press("+")
    await_shown(drawn, 2000, 5999)
    drawn.keyboard.press("-")
    await_whole(drawn)
    collecting.append(KEY, beam.totals(500))
    await_drawn(drawn, 8500)


def test_what_is_held_is_zoomed_and_shown_whole_again(
    drawn: Page, collecting: MemoryStore, beam: Any
) -> None:
    drawn.keyboard.press(" ")
    collecting.append(KEY, beam.totals(1000))
    drawn.keyboard.press("+")
    await_shown(drawn, 1000, 2999)
    drawn.keyboard.press("-")
    await_axes(drawn, 0, N - 1)
    expect(drawn.locator("#range")).to_contain_text(f"frames 0 to {grouped(N - 1)}")
    drawn.keyboard.press(" ")
    await_drawn(drawn, 5000)
    await_whole(drawn)


@pytest.mark.parametrize("key", ["Backspace", "b"])
def test_back_to_the_ranges_before(drawn: Page, key: str) -> None:
    drag(drawn, 0.3, 0.6)
    expect(drawn.locator("#range")).to_contain_text("every frame")
    dragged = wanted(drawn)
    assert dragged is not None
    drawn.keyboard.press("+")
    type_range(drawn, 10, 59)
    await_shown(drawn, 10, 59)
    drawn.keyboard.press("r")
    await_whole(drawn)
    drawn.keyboard.press(key)
    await_shown(drawn, 10, 59)
    drawn.keyboard.press(key)
    drawn.keyboard.press(key)
    await_shown(drawn, *dragged)
    drawn.keyboard.press(key)
    await_whole(drawn)
    drawn.keyboard.press(key)
    said(drawn, "No other frames were shown before")


def test_ranges_of_another_series_are_not_gone_back_to(
    drawn: Page, collecting: MemoryStore, beam: Any
) -> None:
    collecting.open(OTHER, state="finished", started_ms=1000)
    collecting.append(OTHER, beam.totals(50))
    type_range(drawn, 100, 199)
    await_shown(drawn, 100, 199)
    drawn.focus("#series")
    drawn.wait_for_function("() => document.getElementById('series').length === 2")
    drawn.select_option("#series", OTHER)
    await_drawn(drawn, 50)
    drawn.keyboard.press("b")
    said(drawn, "No other frames")
    assert wanted(drawn) is None


def test_a_key_held_down_is_one_step_back_and_one_decision(
    drawn: Page, notes: MemoryNotes
) -> None:
    type_range(drawn, 0, 99)
    drawn.keyboard.down("ArrowRight")
    for _ in range(5):
        drawn.wait_for_timeout(200)
        drawn.keyboard.down("ArrowRight")  # repeats
    drawn.keyboard.up("ArrowRight")
    await_shown(drawn, 150, 249)
    drawn.keyboard.press("b")
    await_shown(drawn, 0, 99)
    for _ in range(3):
        drawn.keyboard.down("x")
    drawn.keyboard.up("x")
    said(drawn, "Excluded: frames 0 to 99.")
    assert len(notes.exclusions(KEY)) == 1


@pytest.mark.parametrize("undo", ["z", "Control+z"])
def test_a_range_is_excluded_included_and_undone_by_keys(
    drawn: Page, notes: MemoryNotes, undo: str
) -> None:
    drawn.keyboard.press("z")
    said(drawn, "There is nothing to undo")
    type_range(drawn, 100, 199)
    drawn.keyboard.press("x")
    said(drawn, "Excluded: frames 100 to 199.")
    type_range(drawn, 150, 159)
    drawn.keyboard.press("i")
    said(drawn, "Included again: frames 150 to 159.")
    decided = [(e.first, e.last, e.excluded) for e in notes.exclusions(KEY)]
    assert decided == [(100, 199, True), (150, 159, False)]
    drawn.keyboard.press(undo)
    said(drawn, "Undone.")
    assert [edit.first for edit in notes.exclusions(KEY)] == [100]
    drawn.keyboard.press(undo)
    said(drawn, "There is nothing to undo")


def test_keys_mean_nothing_where_one_types_and_with_others_held(
    drawn: Page, notes: MemoryNotes
) -> None:
    type_range(drawn, 100, 199)
    await_shown(drawn, 100, 199)
    keys = ("x", "i", "z", "b", "Backspace", "-", "ArrowLeft")
    drawn.evaluate(
        """() => {
          const area = document.createElement("p");
          Object.assign(area, { id: "area", contentEditable: "true" });
          document.querySelector("main").append(area);
        }"""
    )
    for field in ("#reason", "#note", "#scope", "#frame-from", "#area"):
        drawn.focus(field)
        for key in (*keys, "Control+z"):
            drawn.keyboard.press(key)
        drawn.keyboard.press("Escape")
        drawn.evaluate("() => document.activeElement.blur()")
    for held in ("Control", "Shift", "Alt", "Meta"):
        for key in ("x", "i", "b", "ArrowRight"):
            # As the browser tells it; some would leave the page.
            drawn.evaluate(
                """([key, held]) => document.body.dispatchEvent(new KeyboardEvent(
                    "keydown", { key, [`${held.toLowerCase()}Key`]: true,
                                 ctrlKey: held === "Control", bubbles: true }))""",
                [key, held],
            )
    drawn.keyboard.press("?")
    expect(drawn.locator("#keys")).to_be_visible()
    for key in keys:
        drawn.keyboard.press(key)
    drawn.keyboard.press("Escape")
    await_shown(drawn, 100, 199)
    assert notes.exclusions(KEY) == []


# ---- numbers ----


def test_a_range_is_typed(drawn: Page) -> None:
    first, last = drawn.get_by_label("frames from"), drawn.get_by_label("to frame")
    expect(first).to_have_attribute("placeholder", "first")
    expect(last).to_have_attribute("placeholder", "newest")
    first.fill("250")
    last.focus()
    drawn.wait_for_timeout(300)
    assert wanted(drawn) is None  # only half of it is typed
    last.fill("349")
    last.press("Enter")
    await_shown(drawn, 250, 349)
    assert drawn.evaluate("() => document.activeElement === document.body")

    last.fill("399")
    last.blur()
    await_shown(drawn, 250, 399)
    last.fill("")
    last.press("Enter")
    expect(drawn.locator("#range")).to_contain_text("frames 250 to 3\u202f999")
    expect(last).to_have_value("")
    type_range(drawn, "", "99")
    await_shown(drawn, 0, 99)
    type_range(drawn, "", "")
    await_whole(drawn)


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("300", "200", "Frame 200 comes before frame 300"),
        ("4000", "", "There is no frame 4\u202f000: the newest is 3\u202f999"),
        ("10", "5000", "There is no frame 5\u202f000: the newest is 3\u202f999"),
        ("-5", "10", "Frames have whole numbers from 0 on"),
        ("1.5", "10", "Frames have whole numbers from 0 on"),
    ],
)
def test_nonsense_is_told_and_left(
    drawn: Page, first: str, last: str, text: str
) -> None:
    type_range(drawn, 100, 199)
    await_shown(drawn, 100, 199)
    type_range(drawn, first, last)
    said(drawn, text)
    expect(drawn.locator("#frame-to")).to_be_focused()  # to be corrected
    expect(drawn.locator("#frame-from")).to_have_value(first)
    drawn.keyboard.press("Escape")
    await_shown(drawn, 100, 199)


def test_what_is_no_number_at_all_is_told(drawn: Page) -> None:
    drawn.focus("#frame-from")
    drawn.keyboard.type("e+")
    drawn.keyboard.press("Enter")
    said(drawn, "Frames have whole numbers")
    drawn.locator("#frame-from").blur()
    await_whole(drawn)


def test_nobody_writes_over_what_is_being_typed(
    drawn: Page, collecting: MemoryStore, beam: Any
) -> None:
    drawn.fill("#frame-from", "123")
    drawn.focus("#frame-to")
    collecting.append(KEY, beam.totals(500))
    await_drawn(drawn, N + 500)
    expect(drawn.locator("#frame-from")).to_have_value("123")
    drawn.keyboard.type("456")
    collecting.append(KEY, beam.totals(500))
    await_drawn(drawn, N + 1000)
    drawn.keyboard.press("Enter")
    await_shown(drawn, 123, 456)


def test_without_frames_none_can_be_shown(page: Page, store: MemoryStore) -> None:
    expect(page.locator("#source")).to_contain_text("no data")
    for key in ("+", "-", "ArrowLeft", "]", "r"):
        page.keyboard.press(key)
    assert wanted(page) is None
    type_range(page, 0, 10)
    said(page, "There are no frames yet")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    said(page, "zoom to the frames meant first")


@pytest.mark.parametrize("size", [(1366, 768), (390, 844)])
def test_the_fields_fit(drawn: Page, size: tuple[int, int]) -> None:
    drawn.set_viewport_size({"width": size[0], "height": size[1]})
    type_range(drawn, 1000, 2999)
    await_shown(drawn, 1000, 2999)
    assert drawn.evaluate("() => document.documentElement.scrollWidth") <= size[0]
    for field in ("#frame-from", "#frame-to"):
        cut = "(field) => field.scrollWidth - field.clientWidth"
        assert drawn.locator(field).evaluate(cut) <= 0
    if size[0] > 1000:
        box = drawn.locator("main").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= size[1]
    drawn.keyboard.press("w")
    expect(drawn.locator("#frame-from")).to_be_hidden()


# ---- a server that does not answer ----


class Deaf:
    """A way to the server on which new views get lost, while ticks still come."""

    def __init__(self) -> None:
        self.now = False

    def forward(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def send(message: str | bytes) -> None:
            if not self.now or json.loads(message)["t"] != "view":
                server.send(message)

        socket.on_message(send)
        server.on_message(socket.send)


@pytest.fixture
def deaf() -> Deaf:
    return Deaf()


@pytest.fixture
def far(watched: Any, web: Any, collecting: MemoryStore, deaf: Deaf) -> Page:
    """Return a page that shows frames 1000 to 1999 and gets no other ones."""
    page: Page = watched.page
    page.route_web_socket(re.compile("/api/v1/live"), deaf.forward)
    page.goto(web.url)
    await_drawn(page, N)
    type_range(page, 1000, 1999)
    await_shown(page, 1000, 1999)
    deaf.now = True
    return page


@pytest.mark.parametrize("how", ["drag", "key", "type"])
def test_the_range_that_the_axes_show_is_decided_about(
    far: Page, collecting: MemoryStore, notes: MemoryNotes, beam: Any, how: str
) -> None:
    if how == "drag":
        drag(far, 0.25, 0.5)
    elif how == "key":
        far.keyboard.press("+")
    else:
        type_range(far, 200, 299)
    far.wait_for_url(lambda url: "from=1000&" not in url)
    first, last = wanted(far) or (-1, -1)
    await_axes(far, first, last)
    expect(far.locator("#frame-from")).to_have_value(str(first))
    # A tick of the frames before moves no axis back.
    seq = far.evaluate("() => document.body.dataset.seq")
    collecting.append(KEY, beam.totals(100))
    far.wait_for_function("(seq) => document.body.dataset.seq !== seq", arg=seq)
    await_axes(far, first, last)
    if how == "key":
        far.keyboard.press("x")
    else:
        far.click("#exclude-range")
    said(far, "Excluded")
    (edit,) = notes.exclusions(KEY)
    assert (edit.first, edit.last, edit.excluded) == (first, last, True)


def test_the_whole_series_is_not_excluded(
    far: Page, notes: MemoryNotes, deaf: Deaf
) -> None:
    far.keyboard.press("r")
    for key in ("x", "i"):
        far.keyboard.press(key)
        said(far, "The whole series is shown: zoom to the frames meant first")
    assert notes.exclusions(KEY) == []


def test_a_range_that_is_the_whole_series_is_not_excluded(
    drawn: Page, notes: MemoryNotes
) -> None:
    type_range(drawn, 0, N - 1)
    expect(drawn.locator("#exclude-range")).to_be_visible()
    drawn.click("#exclude-range")
    said(drawn, "The whole series is shown")
    assert notes.exclusions(KEY) == []


def test_the_link_is_to_what_the_axes_show(far: Page) -> None:
    far.context.grant_permissions(["clipboard-read", "clipboard-write"])
    far.keyboard.press("+")
    far.keyboard.press("l")
    said(far, "Link copied")
    link = parse_qs(urlsplit(far.evaluate("navigator.clipboard.readText()")).query)
    assert (link["from"], link["to"]) == (["1250"], ["1750"])
