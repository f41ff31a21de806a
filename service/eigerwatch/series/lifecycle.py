"""How a series goes from armed to finished; when its holes are declared."""

from __future__ import annotations

from eigerwatch.model import BadFrame, SourceState
from eigerwatch.sections import SeriesSettings
from eigerwatch.series.instructions import (
    Closed,
    FrameRejected,
    FramesMissing,
    Instruction,
    Refused,
    StateChanged,
)
from eigerwatch.series.ledger import REJECTED, UNSEEN
from eigerwatch.series.state import MAX_CHANNELS, Series

_STALL_FRAME_TIMES = 20


class Lifecycle:
    """Changes the states of series; every method adds to the instructions `out`."""

    def __init__(self, settings: SeriesSettings) -> None:
        self._settings = settings

    def arrived(
        self, series: Series, image_id: int, now: float, out: list[Instruction]
    ) -> int:
        """Note an arrival; return the highest image_id before it."""
        previous = series.highest
        series.last_seen = now
        series.highest = max(previous, image_id)
        series.clock.saw(series.highest, now)
        if series.state in (SourceState.ARMED, SourceState.STALLED):
            self.change(series, SourceState.COLLECTING, out)
        elif series.state is not SourceState.COLLECTING:
            # Frames still come after END, or after the next series began: keep the
            # window open, or open it again, so that each amends the record.
            series.end_deadline = now + self._settings.settle_s
            self.change(series, SourceState.SETTLING, out)
        return previous

    def begin_settling(
        self, series: Series, now: float, out: list[Instruction]
    ) -> None:
        """Open the settle window, once."""
        if series.end_deadline is None:
            series.end_deadline = now + self._settings.settle_s
            self.change(series, SourceState.SETTLING, out)

    def silent(self, series: Series, now: float) -> bool:
        """Tell whether a series had no message for longer than its frames explain."""
        limit_s = max(self._stall_s(series), self._settings.settle_s)
        return now - series.last_seen > limit_s

    def stalled(self, series: Series, now: float) -> bool:
        """Tell whether a collecting series has fallen silent."""
        return (
            series.state is SourceState.COLLECTING
            and now - series.last_seen > self._stall_s(series)
        )

    def _stall_s(self, series: Series) -> float:
        frame_time_s = series.frame_time_s or 0.0
        return max(self._settings.stall_min_s, _STALL_FRAME_TIMES * frame_time_s)

    def settle(self, series: Series, below: int, out: list[Instruction]) -> None:
        """Declare the frames below a number missing that have not come."""
        for channel, ledger in series.channels.items():
            if below > ledger.settled_below:
                runs = ledger.settle(below)
                if runs:
                    out.append(FramesMissing(series, channel, runs))

    def maybe_close(self, series: Series, now: float, out: list[Instruction]) -> None:
        """Close a series that is complete or whose settle window is over."""
        if series.end_deadline is None or series.busy:
            return
        if series.complete or now >= series.end_deadline:
            self.close(series, out)

    def close(self, series: Series, out: list[Instruction]) -> None:
        """Declare what is missing and decide how the series ended."""
        self.place(series, series.channel_names(), out)
        self.settle(series, series.highest + 1, out)
        announced = series.announced
        enough = announced is not None and series.highest + 1 >= announced
        unknown_but_ended = announced is None and series.end_seen
        final = (
            SourceState.FINISHED
            if enough or unknown_but_ended
            else SourceState.STOPPED_EARLY
        )
        self.change(series, final, out)
        out.append(Closed(series))

    @staticmethod
    def change(series: Series, state: SourceState, out: list[Instruction]) -> None:
        """Go to another state."""
        if series.state is not state:
            before, series.state = series.state, state
            out.append(StateChanged(series, before))

    def reject(
        self,
        series: Series,
        bad: BadFrame,
        channels: tuple[str, ...],
        out: list[Instruction],
    ) -> None:
        """Note a bad frame in the channels concerned."""
        for channel in channels:
            if not series.takes(channel):
                out.append(Refused(series, f"more than {MAX_CHANNELS} channels"))
                continue
            ledger = series.ledger(channel)
            if ledger.status(bad.image_id) == UNSEEN:
                ledger.reject(bad.image_id)
                out.append(
                    FrameRejected(series, channel, bad.image_id, bad.reason, bad.detail)
                )
            elif ledger.status(bad.image_id) != REJECTED:
                ledger.duplicates += 1

    def place(
        self, series: Series, channels: tuple[str, ...], out: list[Instruction]
    ) -> None:
        """Charge bad frames that did not name their channels."""
        waiting, series.unplaced = series.unplaced, []
        for bad in waiting:
            self.reject(series, bad, channels, out)
