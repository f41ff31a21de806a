"""Stream messages to instructions: which series, which frame, what state."""

from __future__ import annotations

from collections.abc import Iterable

from eigerwatch.model import (
    BadFrame,
    Frame,
    FrameFlag,
    Image,
    Message,
    RejectReason,
    SeriesEnd,
    SeriesStart,
    SourceKind,
    SourceState,
)
from eigerwatch.sections import SeriesSettings
from eigerwatch.selection import Selector
from eigerwatch.series.finder import SeriesFinder
from eigerwatch.series.guard import ReplayGuard
from eigerwatch.series.instructions import (
    FrameReady,
    Instruction,
    Refused,
    SettingsBegan,
)
from eigerwatch.series.ledger import ACCEPTED, STORED
from eigerwatch.series.lifecycle import Lifecycle
from eigerwatch.series.remembered import Remembered
from eigerwatch.series.state import MAX_CHANNELS, Series

_FARTHEST_LEAP = 1_000_000
"""A frame number further ahead than this must be confirmed by the next one: a single
wild number would declare millions of frames missing."""

# Plain integers, because every frame has flags: an operation on members of an IntFlag
# takes as long as a frame's ledger.
_TIME_COMPUTED = int(FrameFlag.TIME_COMPUTED)
_TIME_IMPLAUSIBLE = int(FrameFlag.TIME_IMPLAUSIBLE)
_BEYOND_ANNOUNCED = int(FrameFlag.BEYOND_ANNOUNCED)
_LATE = int(FrameFlag.LATE)
_MAY_WRAP = int(FrameFlag.MAY_WRAP)

_MOST_UNPLACED = 1000
_LARGEST_NS = 2**63 - 1
_NS_PER_MS = 1_000_000


class SeriesTracker:
    """Follows the series of one source.

    Pure: told the time with every call, it answers with instructions and keeps the
    ledger. Times `now` are seconds on a monotonic clock.
    """

    def __init__(
        self,
        source: SourceKind,
        settings: SeriesSettings,
        selector: Selector,
        max_frames: int,
    ) -> None:
        self.source = source
        self._source_flags = (
            int(FrameFlag.FROM_FILE) if source is SourceKind.REPLAY else 0
        )
        self._settings = settings
        self._max_frames = max_frames
        self._lifecycle = Lifecycle(settings)
        self._finder = SeriesFinder(source, settings, selector, self._lifecycle)
        self._guard = ReplayGuard()

    @property
    def current(self) -> Series | None:
        """The series that began last."""
        return self._finder.registry.newest

    @property
    def open_series(self) -> list[Series]:
        """Series that still expect frames, oldest first."""
        return self._finder.registry.open

    def use(self, selector: Selector) -> None:
        """Count series that begin from now on otherwise; from any thread."""
        self._finder.use(selector)

    def restore(
        self, remembered: Remembered, now: float, selector: Selector | None = None
    ) -> None:
        """Take up a series where an earlier process left it, with its own selector."""
        series = self._finder.add(
            remembered.key,
            remembered.series_id,
            remembered.series_unique_id,
            remembered.start,
            now,
            remembered.opened_ms,
            selector,
        )
        series.state = remembered.state
        series.end_seen = remembered.end_seen
        series.time_origin_ns = remembered.time_origin_ns
        series.refused = remembered.refused
        for name, channel in remembered.channels.items():
            ledger = series.ledger(name)
            ledger.restore(channel.ok, channel.rejected, channel.settled_below)
            ledger.late = channel.late
            ledger.duplicates = channel.duplicates
            ledger.conflicts = channel.conflicts
            series.highest = max(series.highest, len(channel.ok) - 1)
        series.settings = list(remembered.settings)
        series.region_slots = dict(remembered.region_slots)
        if series.is_open:
            series.clock.saw(series.highest, now)
            if series.state is SourceState.SETTLING:
                series.end_deadline = now + self._settings.settle_s

    def accept(
        self, message: Message, now: float, received_ns: int
    ) -> list[Instruction]:
        """Take one message.

        Parameters
        ----------
        message
            From a decoder.
        now
            Monotonic time [s].
        received_ns
            Arrival, UTC epoch [ns]; also names series that have no unique id.
        """
        if self._guard.refuses(self.source, message):
            return [Refused(None, "a replay on the detector's own endpoint")]
        if isinstance(message, Frame):
            return self._frame(message, now, received_ns)
        arrived_ms = received_ns // _NS_PER_MS
        if isinstance(message, SeriesStart):
            return self._finder.start(message, now, arrived_ms)
        if isinstance(message, SeriesEnd):
            return self._end(message, now)
        return self._bad_frame(message, now, arrived_ms)

    def finished(
        self, series: Series, channel: str, image_ids: Iterable[int], *, stored: bool
    ) -> None:
        """Note that accepted frames were reduced, or rejected by the kernel."""
        ledger = series.ledger(channel)
        for image_id in image_ids:
            ledger.finish(image_id, stored=stored)

    def tick(self, now: float) -> list[Instruction]:
        """Let time pass: settle holes, close series, notice silence."""
        out: list[Instruction] = []
        for series in self.open_series:
            self._lifecycle.settle(series, series.clock.overdue_below(now), out)
            if series.end_deadline is not None:
                self._lifecycle.maybe_close(series, now, out)
            elif self._lifecycle.stalled(series, now):
                self._lifecycle.change(series, SourceState.STALLED, out)
        return out

    def close_all(self, now: float) -> list[Instruction]:
        """Declare every open hole: the process stops.

        The series stay open in the store, so that the next process can take them
        up; a frame that comes then still finds its place.
        """
        out: list[Instruction] = []
        for series in self.open_series:
            if series.end_seen:
                series.end_deadline = now
                self._lifecycle.maybe_close(series, now, out)
            else:
                self._lifecycle.settle(series, series.highest + 1, out)
        return out

    # Messages

    def _end(self, end: SeriesEnd, now: float) -> list[Instruction]:
        series = self._finder.registry.find(end.series_id, end.series_unique_id)
        if series is None:
            return [Refused(None, f"END of unknown series {end.series_id}")]
        if series.end_seen or not series.is_open:
            series.end_seen = True
            return []
        out: list[Instruction] = []
        series.last_seen = now
        self._lifecycle.begin_settling(series, now, out)
        series.end_seen = True
        self._lifecycle.maybe_close(series, now, out)
        return out

    def _frame(self, frame: Frame, now: float, received_ns: int) -> list[Instruction]:
        out: list[Instruction] = []
        series = self._finder.series_of(
            frame.series_id,
            frame.series_unique_id,
            frame.image_id,
            now,
            received_ns // _NS_PER_MS,
            out,
        )
        if not self._in_range(series, frame.image_id, out):
            return out
        previous = self._lifecycle.arrived(series, frame.image_id, now, out)
        start_ns, computed, implausible = series.start_time(
            frame.image_id, frame.start_ns
        )
        common = self._source_flags
        if computed:
            common |= _TIME_COMPUTED
        if implausible:
            common |= _TIME_IMPLAUSIBLE
        if series.announced is not None and frame.image_id >= series.announced:
            common |= _BEYOND_ANNOUNCED
        if frame.image_id < previous:
            common |= _LATE
        for image in frame.images:
            if series.takes(image.channel):
                self._image(series, frame, image, start_ns, received_ns, common, out)
            else:
                out.append(Refused(series, f"more than {MAX_CHANNELS} channels"))
        self._lifecycle.place(series, tuple(series.channels), out)
        return out

    def _image(
        self,
        series: Series,
        frame: Frame,
        image: Image,
        start_ns: int,
        received_ns: int,
        flags: int,
        out: list[Instruction],
    ) -> None:
        image_id = frame.image_id
        n_settings = len(series.settings)
        pixel_filter = series.pixel_filter(image, image_id)
        if pixel_filter is None:
            detail = "type or shape of the images of this series change too often"
            bad = BadFrame(
                frame.series_id, image_id, RejectReason.CONTRADICTION, detail
            )
            self._lifecycle.reject(series, bad, (image.channel,), out)
            return
        if len(series.settings) > n_settings:
            out.append(SettingsBegan(series, image.channel, series.settings[-1]))
        ledger = series.ledger(image.channel)
        status = ledger.status(image_id)
        duplicate = status in (ACCEPTED, STORED)
        if duplicate:
            ledger.duplicates += 1
        else:
            if flags & _LATE:
                ledger.late += 1
            ledger.accept(image_id)
        if image.dtype.itemsize == 1:
            flags |= _MAY_WRAP
        out.append(
            FrameReady(
                series,
                image.channel,
                image_id,
                image,
                pixel_filter,
                flags,
                start_ns,
                min(max(frame.real_ns or 0, 0), _LARGEST_NS),
                received_ns,
                duplicate,
            )
        )

    def _bad_frame(
        self, bad: BadFrame, now: float, arrived_ms: int
    ) -> list[Instruction]:
        out: list[Instruction] = []
        series = self._finder.series_of(
            bad.series_id, bad.series_unique_id, bad.image_id, now, arrived_ms, out
        )
        if not self._in_range(series, bad.image_id, out):
            return out
        self._lifecycle.arrived(series, bad.image_id, now, out)
        channels = bad.channels or tuple(series.channels)
        if not channels and series.start is not None:
            names = series.channel_names()
            channels = names if len(names) == 1 else ()
        if channels:
            self._lifecycle.reject(series, bad, channels, out)
        elif len(series.unplaced) < _MOST_UNPLACED:
            # The next good frame tells which channels there are.
            series.unplaced.append(bad)
        return out

    def _in_range(self, series: Series, image_id: int, out: list[Instruction]) -> bool:
        problem = ""
        if not 0 <= image_id < self._max_frames:
            problem = f"image_id {image_id} is not below {self._max_frames}"
        elif image_id > series.highest + _FARTHEST_LEAP:
            leap, series.leap = series.leap, image_id
            if leap is None or abs(image_id - leap) > _FARTHEST_LEAP:
                problem = f"image_id {image_id} follows {series.highest}"
        if problem:
            series.refused += 1
            out.append(Refused(series, problem))
        return not problem
