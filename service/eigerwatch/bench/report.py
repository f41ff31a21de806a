"""What was measured, as tables on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

_KERNEL = {
    "variant": "variant",
    "ms": "ms/frame",
    "speedup_vs_bitshuffle_numpy": "x bitshuffle + numpy",
    "share_of_memcpy": "of memcpy",
}
_OFFLINE = {
    "frames_per_s": "frames/s",
    "share_of_bare_kernel": "of the bare kernel",
    "speedup_vs_h5py_numpy": "x h5py + np.where",
    "speedup_vs_masked_array": "x h5py + np.ma",
    "threads_frames_per_s": "frames/s, all CPUs",
}
_LIVE = {
    "frames_per_s": "frames/s, none lost",
    "unpaced_frames_per_s": "as fast as it goes",
    "share_of_bare": "of a bare loop",
}


def print_tables(found: dict[str, Any]) -> None:
    """Print what `command.bench` returned."""
    console = Console(highlight=False)
    host = found["host"]
    console.print(
        f"{host['cpu']}, {host['cpus']} CPUs, {host['memory_gb']} GB; "
        f"memcpy {host['memcpy_gb_per_s']} GB/s; "
        f"kernel {host['kernel']} of {', '.join(host['kernel_variants'])}"
    )
    for section, title, columns in (
        ("kernel", "Kernel, one core", _KERNEL),
        ("offline", "Recorded files, in the page cache, one core", _OFFLINE),
        ("live", "Live, virtual detector on the same machine", _LIVE),
    ):
        if section in found:
            console.print(f"\n{title}")
            console.print(_table(found[section], columns))


def _table(rows: list[dict[str, Any]], columns: dict[str, str]) -> Table:
    table = Table("frames", "counts/pixel", box=None, pad_edge=False)
    for heading in columns.values():
        table.add_column(heading, justify="right")
    for row in rows:
        cells = [_told(row[key]) for key in columns]
        images = f"{row['detector']} {row['dtype']}"
        table.add_row(images, f"{row['counts_per_pixel']:g}", *cells)
    return table


def _told(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.4g}"
