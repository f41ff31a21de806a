"""The whole error tree; every class says who catches it and what happens then."""

from __future__ import annotations

from collections.abc import Sequence


class EigerwatchError(Exception):
    """Base of every error that Eigerwatch raises on purpose."""


class ConfigError(EigerwatchError):
    """The settings or the command line are unusable.

    Raised at start-up only. `cli.main` prints it as one line and exits with 2.
    """


class StreamError(EigerwatchError):
    """The sender broke the protocol. `pipeline` counts it and goes on."""


class DecodeError(StreamError):
    """Bytes that are no message we know. `pipeline` counts it by `kind`.

    Attributes
    ----------
    kind
        Short fixed word to count under, e.g. ``"cbor"`` or ``"parts"``.
    """

    def __init__(self, message: str, *, kind: str = "decode") -> None:
        super().__init__(message)
        self.kind = kind


class SequenceError(StreamError):
    """A known message at the wrong time. `pipeline` counts it and goes on.

    Attributes
    ----------
    series_id
        The detector's series number.
    image_id
        The frame, or None where the message is not about a frame.
    """

    def __init__(
        self, message: str, *, series_id: int | None = None, image_id: int | None = None
    ) -> None:
        super().__init__(message)
        self.series_id = series_id
        self.image_id = image_id


class KernelError(EigerwatchError):
    """A payload is corrupt or does not fill the announced image.

    `reduce` turns it into a rejected frame; the series goes on.
    """


class StoreError(EigerwatchError):
    """Redis is away or refuses.

    The writer keeps its records (memory, then spool file) and tries again; the
    web answers 503; at start-up `cli.main` prints it and exits with 2.
    """


class UnknownSeriesError(StoreError):
    """No series of that key is stored. The web answers 404.

    Attributes
    ----------
    series
        The series key that was asked for.
    """

    def __init__(self, series: str) -> None:
        super().__init__(f"no series {series!r} in the store")
        self.series = series


class UnknownRegionError(EigerwatchError, LookupError):
    """A series has no region of that name. The web answers 404, and says which it has.

    Attributes
    ----------
    region
        The region that was asked for.
    """

    def __init__(self, series: str, region: str, known: Sequence[str]) -> None:
        listed = ", ".join(known[:12]) or "none"
        more = f" and {len(known) - 12} more" if len(known) > 12 else ""
        super().__init__(
            f"series {series} has no region {region!r}; it has {listed}{more}"
        )
        self.region = region


class UnknownAlarmError(EigerwatchError):
    """No alarm has this id. The web answers 404."""


class AcknowledgedError(EigerwatchError):
    """Somebody acknowledged the alarm already. The web answers 409."""


class LeaseError(StoreError):
    """Another process owns the detector's stream. `app` refuses to start."""


class ReplayError(EigerwatchError):
    """A recorded file holds no series that we can process.

    Stops that file only; `cli` reports it and goes on with the next one.
    """
