"""What the list of runs asks of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eigerwatch.store.info import SeriesInfo
from eigerwatch.store.listing import Listed, Said
from eigerwatch.store.summaries import Summary


class RunListing(Protocol):
    """`eigerwatch.store.listing.Listing`, or what answers like it."""

    def listed(self) -> list[Listed]:
        """Return all series, in no order."""
        ...

    def find(self, key: str) -> list[Listed]:
        """Return one series, or nothing."""
        ...

    def infos(self, wanted: Sequence[Listed]) -> dict[str, SeriesInfo]:
        """Return what is known about these series."""
        ...

    def said(self, wanted: Sequence[Listed]) -> dict[str, Said]:
        """Return what people said about these series."""
        ...


class LabelStore(Protocol):
    """`eigerwatch.store.labels.Labels`, or what answers like it."""

    def tag(self, key: str, text: str) -> None:
        """Give a series a label."""
        ...

    def untag(self, key: str, text: str) -> None:
        """Take a label away."""
        ...

    def pin(self, key: str, pinned: bool) -> None:
        """Keep a series for ever, or no longer."""
        ...


class SummaryStore(Protocol):
    """`eigerwatch.store.summaries.Summaries`, or what answers like it."""

    def read(self, series: Sequence[str]) -> dict[str, Summary]:
        """Return the summaries that there are of these series."""
        ...

    def read_archived(self, key: str) -> Summary | None:
        """Return the summary of an archived series."""
        ...

    def write(self, key: str, summary: Summary) -> None:
        """Keep the summary of a series."""
        ...

    def write_archived(self, key: str, summary: Summary) -> None:
        """Keep the summary of an archived series."""
        ...


@dataclass(frozen=True, slots=True)
class RunStore:
    """The three together."""

    listing: RunListing
    labels: LabelStore
    summaries: SummaryStore
