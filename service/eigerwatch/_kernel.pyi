from typing_extensions import Buffer

def reduce(
    payload: Buffer,
    encoding: int,
    itemsize: int,
    pixels: int,
    low: int,
    high: int,
    mask: Buffer | None,
    regions: Buffer | None,
    counts: Buffer,
    region_rows: Buffer | None,
    scratch: Buffer | None,
    extents: Buffer | None = None,
    /,
) -> None:
    """Classify, count and sum the pixels of one compressed image."""

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

def scratch_bytes(payload: Buffer, encoding: int, itemsize: int, pixels: int, /) -> int:
    """Return the size of the scratch buffer that this payload needs [bytes]."""

def region_extents(regions: Buffer, pixels: int, /) -> bytes:
    """Return (first, stop) as uint32 for each bitmap: its bytes that are not all 0."""

def variant() -> str:
    """Return the name of the variant in use."""

def variants() -> tuple[str, ...]:
    """Return the names of the variants that this CPU can run, best first."""
