from collections.abc import Sequence
from typing import final

from typing_extensions import Buffer

@final
class Selection:
    """Which pixels of an image count, and which regions are summed."""

    def __new__(
        cls,
        pixels: int,
        low: int,
        high: int,
        mask: Buffer | None = None,
        edges: Buffer | None = None,
        regions: int = 0,
    ) -> Selection: ...

def reduce(
    payloads: Sequence[Buffer],
    encoding: int,
    itemsize: int,
    selection: Selection,
    records: Buffer,
    region_rows: Buffer | None,
    scratch: Buffer | None,
    /,
) -> list[tuple[int, str]]:
    """Classify, count and sum the pixels of compressed images."""

def decode(
    payload: Buffer,
    encoding: int,
    itemsize: int,
    pixels: int,
    out: Buffer,
    scratch: Buffer | None,
    /,
) -> None:
    """Decompress one image into `out`, pixels x itemsize bytes."""

def bin_pixels(
    payload: Buffer,
    encoding: int,
    itemsize: int,
    selection: Selection,
    width: int,
    factor: int,
    sums: Buffer,
    kept: Buffer,
    scratch: Buffer | None,
    /,
) -> None:
    """Sum and count the kept pixels of squares of `factor` x `factor` pixels."""

def scratch_bytes(
    payloads: Sequence[Buffer], encoding: int, itemsize: int, pixels: int, /
) -> int:
    """Return the size of the scratch buffer that these payloads need [bytes]."""

def variant() -> str:
    """Return the name of the variant in use."""

def variants() -> tuple[str, ...]:
    """Return the names of the variants that this CPU can run, best first."""
