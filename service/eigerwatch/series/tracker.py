"""Stream messages to instructions: which series, which frame, what state."""

from __future__ import annotations

from eigerwatch.config import FilterSettings, SeriesSettings
from eigerwatch.model import (
    BadFrame,
    Frame,
    FrameFlag,
    Image,
    Message,
    SeriesEnd,
    SeriesStart,
    SourceKind,
    SourceState,
)
from eigerwatch.series.guard import ReplayGuard
from eigerwatch.series.identity import series_key
from eigerwatch.series.instructions import (
    Closed,
    FrameReady,
    FrameRejected,
    FramesMissing,
    HeaderAdopted,
    Instruction,
    Opened,
    Refused,
    StateChanged,
)
from eigerwatch.series.ledger import ACCEPTED, REJECTED, STORED, UNSEEN, SettleClock
from eigerwatch.series.registry import SeriesRegistry
from eigerwatch.series.remembered import Remembered
from eigerwatch.series.state import MAX_CHANNELS, Series

_LATE_AFTER_END_S = 60.0
"""How long after a series closed its frame numbers still mean that series [s]."""

_STALL_FRAME_TIMES = 20


class SeriesTracker:
    """Follows the series of one source.

    Pure: told the time with every call, it answers with instructions and keeps the
    ledger. Times `now` are seconds on a monotonic clock.
    """

    def __init__(
        self,
        source: SourceKind,
        settings: SeriesSettings,
        filter_settings: FilterSettings,
        max_frames: int,
    ) -> None:
        self.source = source
        self._settings = settings
        self._filter_settings = filter_settings
        self._max_frames = max_frames
        self._registry = SeriesRegistry(settings.max_open)
        self._guard = ReplayGuard()

    @property
    def current(self) -> Series | None:
        """The series that began last."""
        return self._registry.newest

    @property
    def open_series(self) -> list[Series]:
        """Series that still expect frames, oldest first."""
        return self._registry.open

    def restore(self, remembered: Remembered, now: float) -> None:
        """Take up a series where an earlier process left it."""
        series = self._add(
            remembered.key,
            remembered.series_id,
            remembered.series_unique_id,
            remembered.start,
            now,
            remembered.opened_ms,
        )
        series.state = remembered.state
        series.end_seen = remembered.end_seen
        series.highest = remembered.highest
        series.time_origin_ns = remembered.time_origin_ns
        for channel, (ok, rejected, settled_below) in remembered.channels.items():
            series.ledger(channel).restore(ok, rejected, settled_below)
        series.settings = list(remembered.settings)
        if series.is_open:
            series.clock.saw(series.highest, now)
            if series.state is SourceState.SETTLING:
                series.end_deadline = now + self._settings.settle_s

    def accept(
        self, message: Message, now: float, arrived_ms: int
    ) -> list[Instruction]:
        """Take one message.

        Parameters
        ----------
        message
            From a decoder.
        now
            Monotonic time [s].
        arrived_ms
            UTC epoch [ms]; names series that have no unique id.
        """
        if self._guard.refuses(self.source, message):
            return [Refused(None, "a replay on the detector's own endpoint")]
        if isinstance(message, Frame):
            return self._frame(message, now, arrived_ms)
        if isinstance(message, SeriesStart):
            return self._start(message, now, arrived_ms)
        if isinstance(message, SeriesEnd):
            return self._end(message, now)
        return self._bad_frame(message, now, arrived_ms)

    def finished(
        self, series: Series, channel: str, image_id: int, *, stored: bool
    ) -> None:
        """Note that an accepted frame was reduced, or rejected by the kernel."""
        series.ledger(channel).finish(image_id, stored=stored)

    def tick(self, now: float) -> list[Instruction]:
        """Let time pass: settle holes, close series, notice silence."""
        out: list[Instruction] = []
        for series in self.open_series:
            self._settle(series, series.clock.overdue_below(now), out)
            if series.end_deadline is not None:
                self._maybe_close(series, now, out)
            elif (
                series.state is SourceState.COLLECTING
                and now - series.last_seen > self._stall_s(series)
            ):
                self._change(series, SourceState.STALLED, out)
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
                self._maybe_close(series, now, out)
            else:
                self._settle(series, series.highest + 1, out)
        return out

    # Messages

    def _start(
        self, start: SeriesStart, now: float, arrived_ms: int
    ) -> list[Instruction]:
        known = self._registry.find(start.series_id, start.series_unique_id)
        if known is not None and self._same_series(known, start):
            known.last_seen = now
            if known.start is None:
                known.start = start
                return [HeaderAdopted(known)]
            if start.series_unique_id is None and known.highest >= 0:
                known.restart = start
            return []
        out: list[Instruction] = []
        self._open(start.series_id, start.series_unique_id, start, now, arrived_ms, out)
        return out

    @staticmethod
    def _same_series(known: Series, start: SeriesStart) -> bool:
        """Tell a repeated START from the START of another series."""
        if start.series_unique_id is not None:
            return True
        if known.end_seen or not known.is_open:
            return False
        return known.start is None or known.start.header == start.header

    def _end(self, end: SeriesEnd, now: float) -> list[Instruction]:
        series = self._registry.find(end.series_id, end.series_unique_id)
        if series is None:
            return [Refused(None, f"END of unknown series {end.series_id}")]
        if series.end_seen or not series.is_open:
            series.end_seen = True
            return []
        out: list[Instruction] = []
        series.last_seen = now
        self._begin_settling(series, now, out)
        series.end_seen = True
        self._maybe_close(series, now, out)
        return out

    def _frame(self, frame: Frame, now: float, arrived_ms: int) -> list[Instruction]:
        out: list[Instruction] = []
        series = self._series_of(
            frame.series_id,
            frame.series_unique_id,
            frame.image_id,
            now,
            arrived_ms,
            out,
        )
        if not self._in_range(series, frame.image_id, out):
            return out
        previous = self._arrived(series, frame.image_id, now, out)
        start_ns, computed, implausible = series.start_time(
            frame.image_id, frame.start_ns
        )
        common = FrameFlag(0)
        if frame.from_file:
            common |= FrameFlag.FROM_FILE
        if computed:
            common |= FrameFlag.TIME_COMPUTED
        if implausible:
            common |= FrameFlag.TIME_IMPLAUSIBLE
        if series.announced is not None and frame.image_id >= series.announced:
            common |= FrameFlag.BEYOND_ANNOUNCED
        if frame.image_id < previous:
            common |= FrameFlag.LATE
        for image in frame.images:
            if image.channel not in series.channels and (
                len(series.channels) >= MAX_CHANNELS
            ):
                out.append(Refused(series, f"more than {MAX_CHANNELS} channels"))
                continue
            self._image(series, frame, image, start_ns, common, out)
        return out

    def _image(
        self,
        series: Series,
        frame: Frame,
        image: Image,
        start_ns: int,
        flags: FrameFlag,
        out: list[Instruction],
    ) -> None:
        ledger = series.ledger(image.channel)
        image_id = frame.image_id
        status = ledger.status(image_id)
        duplicate = status in (ACCEPTED, STORED)
        if duplicate:
            ledger.duplicates += 1
        else:
            if flags & FrameFlag.LATE:
                ledger.late += 1
            ledger.accept(image_id)
        if image.dtype.itemsize == 1:
            flags |= FrameFlag.MAY_WRAP
        out.append(
            FrameReady(
                series,
                image.channel,
                image_id,
                image,
                series.pixel_filter(image.dtype, image_id),
                flags,
                start_ns,
                frame.real_ns or 0,
                duplicate,
            )
        )

    def _bad_frame(
        self, bad: BadFrame, now: float, arrived_ms: int
    ) -> list[Instruction]:
        out: list[Instruction] = []
        series = self._series_of(
            bad.series_id, bad.series_unique_id, bad.image_id, now, arrived_ms, out
        )
        if not self._in_range(series, bad.image_id, out):
            return out
        self._arrived(series, bad.image_id, now, out)
        for channel in bad.channels or series.channel_names():
            ledger = series.ledger(channel)
            if ledger.status(bad.image_id) == UNSEEN:
                ledger.reject(bad.image_id)
                out.append(
                    FrameRejected(series, channel, bad.image_id, bad.reason, bad.detail)
                )
            elif ledger.status(bad.image_id) != REJECTED:
                ledger.duplicates += 1
        return out

    # Series

    def _series_of(
        self,
        series_id: int,
        series_unique_id: str | None,
        image_id: int,
        now: float,
        arrived_ms: int,
        out: list[Instruction],
    ) -> Series:
        """Return the series a frame belongs to; open a provisional one if none does."""
        series = self._registry.find(series_id, series_unique_id)
        if series is None or (
            series_unique_id is None and self._begins_another(series, image_id, now)
        ):
            start = series.restart if series else None
            return self._open(series_id, series_unique_id, start, now, arrived_ms, out)
        series.restart = None
        return series

    @staticmethod
    def _begins_another(series: Series, image_id: int, now: float) -> bool:
        """Tell whether a v1 frame is of a newer series that bears the same number.

        Numbers start again whenever the detector is initialised. A frame seen
        before is of a newer series where a second START came, or where the known
        series had ended; otherwise it is a repetition.
        """
        seen = any(c.status(image_id) != UNSEEN for c in series.channels.values())
        if series.restart is not None:
            return seen
        if series.is_open:
            return False
        return seen or now - series.last_seen > _LATE_AFTER_END_S

    def _open(
        self,
        series_id: int,
        series_unique_id: str | None,
        start: SeriesStart | None,
        now: float,
        arrived_ms: int,
        out: list[Instruction],
    ) -> Series:
        for other in self.open_series:
            self._begin_settling(other, now, out)
        for dropped in self._registry.make_room():
            if dropped.is_open:
                self._close(dropped, out)
        key = series_key(self.source, series_id, series_unique_id, start, arrived_ms)
        while key in self._registry:
            arrived_ms += 1
            key = series_key(self.source, series_id, None, start, arrived_ms)
        series = self._add(key, series_id, series_unique_id, start, now, arrived_ms)
        out.append(Opened(series))
        return series

    def _add(
        self,
        key: str,
        series_id: int,
        series_unique_id: str | None,
        start: SeriesStart | None,
        now: float,
        opened_ms: int,
    ) -> Series:
        series = Series(
            key=key,
            source=self.source,
            series_id=series_id,
            series_unique_id=series_unique_id,
            filter_settings=self._filter_settings,
            clock=SettleClock(self._settings.settle_s),
            opened_ms=opened_ms,
            start=start,
            last_seen=now,
        )
        self._registry.add(series)
        return series

    # Frames and states

    def _in_range(self, series: Series, image_id: int, out: list[Instruction]) -> bool:
        if 0 <= image_id < self._max_frames:
            return True
        series.refused += 1
        out.append(
            Refused(series, f"image_id {image_id} is not below {self._max_frames}")
        )
        return False

    def _arrived(
        self, series: Series, image_id: int, now: float, out: list[Instruction]
    ) -> int:
        """Note an arrival; return the highest image_id before it."""
        previous = series.highest
        series.last_seen = now
        series.highest = max(previous, image_id)
        series.clock.saw(series.highest, now)
        if series.state in (SourceState.ARMED, SourceState.STALLED):
            self._change(series, SourceState.COLLECTING, out)
        elif series.state is not SourceState.COLLECTING:
            # Frames still come after END, or after the next series began: keep the
            # window open, or open it again, so that each amends the record.
            series.end_deadline = now + self._settings.settle_s
            self._change(series, SourceState.SETTLING, out)
        return previous

    def _begin_settling(
        self, series: Series, now: float, out: list[Instruction]
    ) -> None:
        if series.end_deadline is None:
            series.end_deadline = now + self._settings.settle_s
            self._change(series, SourceState.SETTLING, out)

    def _stall_s(self, series: Series) -> float:
        frame_time_s = series.frame_time_s or 0.0
        return max(self._settings.stall_min_s, _STALL_FRAME_TIMES * frame_time_s)

    def _settle(self, series: Series, below: int, out: list[Instruction]) -> None:
        for channel, ledger in series.channels.items():
            if below > ledger.settled_below:
                runs = ledger.settle(below)
                if runs:
                    out.append(FramesMissing(series, channel, runs))

    def _maybe_close(self, series: Series, now: float, out: list[Instruction]) -> None:
        if series.end_deadline is None or series.busy:
            return
        if series.complete or now >= series.end_deadline:
            self._close(series, out)

    def _close(self, series: Series, out: list[Instruction]) -> None:
        self._settle(series, series.highest + 1, out)
        announced = series.announced
        enough = announced is not None and series.highest + 1 >= announced
        unknown_but_ended = announced is None and series.end_seen
        final = (
            SourceState.FINISHED
            if enough or unknown_but_ended
            else SourceState.STOPPED_EARLY
        )
        self._change(series, final, out)
        out.append(Closed(series))

    @staticmethod
    def _change(series: Series, state: SourceState, out: list[Instruction]) -> None:
        if series.state is not state:
            before, series.state = series.state, state
            out.append(StateChanged(series, before))
