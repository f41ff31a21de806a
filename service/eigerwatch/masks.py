"""Pixel masks: a user's own from a file, and the packed form that the kernel takes."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eigerwatch.errors import ConfigError
from eigerwatch.model import PixelMask

_HDF5_SUFFIXES = frozenset({".h5", ".hdf5", ".hdf", ".nxs", ".nx", ".nexus"})
_MAX_PIXELS = 2**30


def load_mask(place: Path) -> PixelMask:
    """Read a mask: pixels other than zero are left out.

    Parameters
    ----------
    place
        An ``.npy`` file, ``FILE.h5::/path/of/dataset``, or an image that fabio reads
        (``.edf``, ``.tif``, ``.cbf``, Fit2D's ``.msk``, ...).

    Raises
    ------
    ConfigError
        It cannot be read, or holds no image; one line with the cure.
    """
    file_name, _, dataset = str(place).partition("::")
    path = Path(file_name)
    try:
        if not path.is_file():
            raise ConfigError(f"mask = {place}: there is no such file; correct `mask`")
        if dataset or path.suffix.lower() in _HDF5_SUFFIXES:
            values = _from_hdf5(path, dataset)
        elif path.suffix.lower() == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            values = _from_image(path)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError) as exc:
        raise ConfigError(
            f"mask = {place}: cannot be read ({exc!s:.200}); name an .npy file, "
            "FILE.h5::/DATASET or an image"
        ) from exc
    if values.ndim != 2 or not 0 < values.size <= _MAX_PIXELS:
        raise ConfigError(
            f"mask = {place}: holds an array of shape {values.shape}, not an image of "
            "(y, x) pixels"
        )
    if values.dtype.kind not in "biuf":
        raise ConfigError(f"mask = {place}: holds {values.dtype}, not numbers")
    return packed(values != 0)


def packed(masked: npt.NDArray[np.bool_]) -> PixelMask:
    """Return a mask in the kernel's form.

    Parameters
    ----------
    masked
        (y, x), true where a pixel is left out.
    """
    y, x = masked.shape
    used = np.packbits(~masked.reshape(-1), bitorder="little")
    return PixelMask((y, x), used.tobytes())


def unpacked(mask: PixelMask) -> npt.NDArray[np.bool_]:
    """Return (y, x), true where a pixel is left out."""
    y, x = mask.shape
    bits = np.unpackbits(
        np.frombuffer(mask.used, np.uint8), count=y * x, bitorder="little"
    )
    masked: npt.NDArray[np.bool_] = bits.reshape(y, x) == 0
    return masked


def joined(first: PixelMask, second: PixelMask) -> PixelMask:
    """Return the mask that leaves out what either of two of one shape does."""
    a, b = (np.frombuffer(mask.used, np.uint8) for mask in (first, second))
    return PixelMask(first.shape, (a & b).tobytes())


def n_masked(mask: PixelMask) -> int:
    """Return how many pixels a mask leaves out."""
    y, x = mask.shape
    # `packed` fills the last byte with zeros.
    return y * x - int(np.bitwise_count(np.frombuffer(mask.used, np.uint8)).sum())


def digest(mask: PixelMask) -> str:
    """Return a short text that tells masks apart."""
    return hashlib.blake2b(mask.used, digest_size=8).hexdigest()


def _from_hdf5(path: Path, dataset: str) -> npt.NDArray[np.generic]:
    import h5py

    if not dataset:
        raise ValueError("which dataset is not said: write FILE.h5::/DATASET")
    with h5py.File(path, "r", locking=False) as file:
        node = file[dataset]
        if not isinstance(node, h5py.Dataset):
            raise TypeError(f"{dataset} is a group, not a dataset")
        if node.size > _MAX_PIXELS:
            raise ValueError(f"{dataset} has {node.size} elements")
        values: npt.NDArray[np.generic] = node[()]
        return np.squeeze(values) if values.ndim > 2 else values


def _from_image(path: Path) -> npt.NDArray[np.generic]:
    # Slow to import, and rarely needed.
    import fabio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about headers, which do not matter here
        image = fabio.open(str(path))
        try:
            values: npt.NDArray[np.generic] = np.array(image.data)
        finally:
            image.close()
    return values
