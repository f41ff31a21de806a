"""Recorded datasets as series: the raw chunks are forwarded as they are."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from eigersim.acquisition import Acquisition, Exposure, new_unique_id
from eigersim.errors import SimulatorError
from eigersim.images import Encoding, ImageData
from eigersim.links import LinkedFiles
from eigersim.source import Series

_DETECTOR = "/entry/instrument/detector/"
_SPECIFIC = _DETECTOR + "detectorSpecific/"
_BEAM = "/entry/instrument/beam/"
_FILTER_BITSHUFFLE = 32008
_FILTER_LZ4 = 32004
_BITSHUFFLED = {(2,): Encoding.BSLZ4, (3,): Encoding.BSZSTD}
"""By the filter parameter that names what follows bitshuffle."""
_HDF5_ERRORS = (OSError, KeyError, RuntimeError, ValueError)
_LONGEST_S = 1e6
_LARGEST = 2**63


@dataclass(frozen=True)
class _Run:
    """Consecutive images within one dataset."""

    dataset: h5py.Dataset
    first_id: int
    """image_id of the first one."""
    offset: int
    """Its position in the dataset."""
    n: int
    encoding: Encoding


class Recording:
    """A master file as a source of series. A context manager.

    Parameters
    ----------
    master
        In the layout of DECTRIS' file writer: external links or virtual datasets to
        data files, or data within.
    roots
        Folders, beside the master's own, that links may lead to.
    """

    def __init__(self, master: Path, roots: Sequence[Path] = ()) -> None:
        self._files = LinkedFiles(master, roots)
        self.skipped_files = 0
        """Data files that the master names but that are not there."""
        self.skipped_images = 0
        """Chunks that could not be read."""
        try:
            self._runs = self._find_runs()
            if not self._runs:
                raise SimulatorError(
                    f"{master} holds no images at /entry/data that can be read; "
                    "put its data files beside it, or name their folder with --root"
                )
            self._channels = self._find_channels()
            self.frame_time = self._seconds(_DETECTOR + "frame_time", 0.0)
            """As recorded [s]; 0 if the file does not tell."""
        except _HDF5_ERRORS as exc:
            self._files.close()
            raise SimulatorError(
                f"{master} is damaged: {exc}; try another copy of it"
            ) from exc
        except BaseException:
            self._files.close()
            raise

    def series(self, series_id: int) -> Series:
        """Return the recording as the series `series_id`."""
        origin = self._origin()
        return Series(
            self._acquisition(series_id, origin),
            self._exposures(),
            facts={"origin": origin, "files_missing": self.skipped_files},
        )

    @property
    def last_id(self) -> int:
        """Highest image_id there is."""
        return max(run.first_id + run.n - 1 for run in self._runs)

    def _find_runs(self) -> list[_Run]:
        group = self._files.find("/entry/data")
        if not isinstance(group, h5py.Group):
            return []
        numbered = sorted(
            (int(match[1]), name)
            for name in group
            if (match := re.fullmatch(r"data_(\d+)", name))
        )
        if not numbered:
            data = self._files.find("/entry/data/data")
            if not isinstance(data, h5py.Dataset):
                return []
            return self._virtual_runs(data) if data.is_virtual else [_run(data, 0)]
        runs: list[_Run] = []
        next_id = 0
        missing = 0
        for _, name in numbered:
            dataset = self._files.find(f"/entry/data/{name}")
            if not isinstance(dataset, h5py.Dataset):
                self.skipped_files += 1
                missing += 1
                continue
            # Without a number of its own a file follows the others, and those that
            # are missing are taken to be as long as it is.
            run = _run(dataset, next_id)
            first = dataset.attrs.get("image_nr_low")
            if first is not None and int(first) > 0:
                run = _run(dataset, int(first) - 1)
            elif missing:
                run = _run(dataset, next_id + missing * (runs[-1] if runs else run).n)
            runs.append(run)
            next_id = run.first_id + run.n
            missing = 0
        return runs

    def _virtual_runs(self, data: h5py.Dataset) -> list[_Run]:
        runs = []
        for source in data.virtual_sources():
            dataset = self._files.find_in(source.file_name, source.dset_name)
            if not isinstance(dataset, h5py.Dataset):
                self.skipped_files += 1
                continue
            lowest, highest = source.vspace.get_select_bounds()
            if any(lowest[1:]) or tuple(highest)[1:] != tuple(
                size - 1 for size in data.shape[1:]
            ):
                raise SimulatorError(
                    f"{self._files.path}: /entry/data/data puts images together from "
                    "several datasets; name a master whose data files hold whole images"
                )
            offset = 0
            if source.src_space.get_select_type() == h5py.h5s.SEL_HYPERSLABS:
                offset = int(source.src_space.get_select_bounds()[0][0])
            n = int(highest[0]) - int(lowest[0]) + 1
            run = _run(dataset, int(lowest[0]))
            runs.append(
                _Run(
                    dataset, run.first_id, offset, min(n, run.n - offset), run.encoding
                )
            )
        return sorted(runs, key=lambda run: run.first_id)

    def _find_channels(self) -> tuple[str, ...]:
        dataset = self._runs[0].dataset
        if dataset.ndim < 4:
            return ("threshold_1",)
        named = self._files.find("/entry/data/channel")
        if isinstance(named, h5py.Dataset) and named.shape == dataset.shape[1:2]:
            return tuple(str(name) for name in named.asstr()[:])
        return tuple(f"threshold_{i + 1}" for i in range(dataset.shape[1]))

    def _exposures(self) -> Iterator[Exposure]:
        frame_ns = self.frame_time * 1e9
        real_ns = round(self._seconds(_DETECTOR + "count_time", self.frame_time) * 1e9)
        for run in self._runs:
            for i in range(run.n):
                images = {}
                for c, channel in enumerate(self._channels):
                    try:
                        image = _read_image(run, run.offset + i, c)
                    except _HDF5_ERRORS:
                        self.skipped_images += 1
                        continue
                    if image is not None:
                        images[channel] = image
                if images:
                    image_id = run.first_id + i
                    start_ns = round(image_id * frame_ns)
                    yield Exposure(image_id, start_ns, real_ns, images)

    def _acquisition(self, series_id: int, origin: dict[str, Any]) -> Acquisition:
        dataset = self._runs[0].dataset
        y, x = dataset.shape[-2:]
        frames = self.last_id + 1
        cutoff = self._count(_SPECIFIC + "countrate_correction_count_cutoff", 0)
        threshold = self._told(_DETECTOR + "threshold_energy")
        return Acquisition(
            series_id=series_id,
            series_unique_id=new_unique_id(),
            detector_description=self._text(_DETECTOR + "description", "unknown"),
            detector_serial_number=self._text(_DETECTOR + "detector_number", "unknown"),
            shape=(y, x),
            dtype=dataset.dtype,
            channels=self._channels,
            nimages=self._count(_SPECIFIC + "nimages", frames),
            ntrigger=self._count(_SPECIFIC + "ntrigger", 1),
            frame_time=self.frame_time,
            count_time=self._seconds(_DETECTOR + "count_time", self.frame_time),
            saturation_value=self._count(_DETECTOR + "saturation_value", 0) or None,
            countrate_cutoff=cutoff or None,
            compression=self._runs[0].encoding.value,
            trigger_mode=self._text(_SPECIFIC + "trigger_mode", "ints"),
            photon_energy=self._told(_SPECIFIC + "photon_energy"),
            incident_wavelength=self._told(_BEAM + "incident_wavelength"),
            threshold_energy=(
                {} if threshold is None else dict.fromkeys(self._channels, threshold)
            ),
            beam_center=(
                self._told(_DETECTOR + "beam_center_x"),
                self._told(_DETECTOR + "beam_center_y"),
            ),
            detector_distance=self._told(_DETECTOR + "detector_distance"),
            pixel_size=(
                self._told(_DETECTOR + "x_pixel_size"),
                self._told(_DETECTOR + "y_pixel_size"),
            ),
            sensor_material=self._text(_DETECTOR + "sensor_material", "Si"),
            sensor_thickness=self._number(_DETECTOR + "sensor_thickness", 4.5e-4),
            pixel_masks=self._pixel_masks((y, x)),
            user_data={"eigersim": {"mode": "replay", "origin": origin}},
        )

    def _origin(self) -> dict[str, Any]:
        """Return what identifies the recording."""
        found = {
            "serial": self._text(_DETECTOR + "detector_number", ""),
            "data_collection_date": self._text(_SPECIFIC + "data_collection_date", ""),
            "series_id": self._count(_SPECIFIC + "series_id", 0),
            "series_unique_id": self._text(_SPECIFIC + "series_unique_id", ""),
        }
        # Names need not be text, but streams carry nothing else.
        name = os.fsencode(self._files.path.name).decode("utf-8", "replace")
        origin = {"file": name}
        return origin | {key: value for key, value in found.items() if value}

    def _value(self, path: str) -> Any:
        node = self._files.find(path)
        if not isinstance(node, h5py.Dataset) or node.size != 1:
            return None
        return node[()] if node.shape == () else node[:].reshape(-1)[0]

    def _told(self, path: str) -> float | None:
        """Return a number, None where the file does not tell it."""
        value = self._value(path)
        if value is None or np.asarray(value).dtype.kind not in "iufb":
            return None
        # The shortest text: 0.2 in float32 stays 0.2.
        return float(str(value)) if math.isfinite(value) else None

    def _number(self, path: str, default: float) -> float:
        value = self._told(path)
        return default if value is None else value

    def _count(self, path: str, default: int) -> int:
        number = self._number(path, default)
        return int(number) if 0 < number < _LARGEST else default

    def _seconds(self, path: str, default: float) -> float:
        number = self._number(path, default)
        return number if 0 <= number <= _LONGEST_S else default

    def _text(self, path: str, default: str) -> str:
        value = self._value(path)
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return value if isinstance(value, str) else default

    def _pixel_masks(self, shape: tuple[int, int]) -> dict[str, Any]:
        """Return the masks by channel: its own, or else the detector's."""
        known: dict[str, Any] = {}
        masks = {}
        for channel in self._channels:
            for path in (
                f"{_DETECTOR}{channel}_channel/pixel_mask",
                _DETECTOR + "pixel_mask",
                _SPECIFIC + "pixel_mask",
            ):
                if path not in known:
                    node = self._files.find(path)
                    known[path] = None
                    if isinstance(node, h5py.Dataset) and node.shape == shape:
                        known[path] = node[:].astype(np.uint32)
                if known[path] is not None:
                    masks[channel] = known[path]
                    break
        return masks

    def close(self) -> None:
        """Close all files."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _run(dataset: h5py.Dataset, first_id: int) -> _Run:
    n = 1 if dataset.ndim == 2 else dataset.shape[0]
    return _Run(dataset, first_id, 0, n, _encoding_of(dataset))


def _encoding_of(dataset: h5py.Dataset) -> Encoding:
    """Return how the chunks are packed.

    Raises
    ------
    SimulatorError
        No stream carries chunks like these.
    """
    where = f"{dataset.file.filename}:{dataset.name}"
    kind = dataset.dtype
    if dataset.ndim not in (2, 3, 4) or kind.name not in ("uint8", "uint16", "uint32"):
        raise SimulatorError(
            f"{where} is no stack of unsigned images but {dataset.shape} {kind}; "
            "name a master written by an Eiger"
        )
    if kind.byteorder == ">":
        raise SimulatorError(
            f"{where} is big-endian, which no stream carries; rewrite it little-endian"
        )
    if dataset.external:
        raise SimulatorError(
            f"{where} keeps its data in a raw file outside HDF5; copy "
            "it into one with h5repack"
        )
    if dataset.chunks is None:
        return Encoding.NONE
    if dataset.chunks != (1,) * (dataset.ndim - 2) + dataset.shape[-2:]:
        raise SimulatorError(
            f"{where} has chunks of {dataset.chunks}, not of one image each; "
            "rewrite it with one image a chunk"
        )
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(i) for i in range(properties.get_nfilters())]
    if not filters:
        return Encoding.NONE
    code, _, values, _ = filters[0]
    if len(filters) == 1 and code == _FILTER_LZ4:
        return Encoding.LZ4
    if len(filters) == 1 and code == _FILTER_BITSHUFFLE:
        encoding = _BITSHUFFLED.get(tuple(values[4:5]))
        if encoding is not None:
            return encoding
        raise SimulatorError(
            f"{where} is bitshuffled but not compressed, which no stream of ours "
            "carries; rewrite it as bslz4"
        )
    names = ", ".join(str(f[0]) for f in filters)
    raise SimulatorError(
        f"{where} is packed with HDF5 filter {names}, which no stream carries; "
        "rewrite it as bslz4"
    )


def _read_image(run: _Run, index: int, channel: int) -> ImageData | None:
    """Return the chunk of one image as it is in the file; None: never written."""
    dataset = run.dataset
    y, x = dataset.shape[-2:]
    place = {2: (), 3: (index,), 4: (index, channel)}[dataset.ndim]
    little = dataset.dtype.newbyteorder("<")
    if dataset.chunks is None:
        raw = np.asarray(dataset[place], little).tobytes()
        return ImageData(Encoding.NONE, little, (y, x), [raw])
    corner = (*place, 0, 0)
    if dataset.id.get_chunk_info_by_coord(corner).byte_offset is None:
        return None
    skipped, chunk = dataset.id.read_direct_chunk(corner)
    encoding = Encoding.NONE if skipped else run.encoding
    return ImageData(encoding, little, (y, x), [bytes(chunk)])
