"""Groups and texts of NeXus files, as HDF5 takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np


def declare(group: h5py.Group, name: str, **attributes: str) -> None:
    """Say which NeXus class a group has, and more attributes."""
    group.attrs["NX_class"] = name
    for key, value in attributes.items():
        group.attrs[key] = as_text(value)


def new_group(
    parent: h5py.Group, name: str, kind: str, **attributes: str
) -> h5py.Group:
    """Return a new group of a NeXus class."""
    made = parent.create_group(name)
    declare(made, kind, **attributes)
    return made


def write_fields(group: h5py.Group, fields: Mapping[str, Any]) -> None:
    """Write fields by name: numbers and texts as they are, all else as JSON."""
    for name, value in fields.items():
        key = as_text(name).replace("/", "_").strip(".") or "_"
        if key in group:
            continue
        plain = isinstance(value, bool | float) or (
            isinstance(value, int) and -(2**63) <= value < 2**63
        )
        if plain:
            group[key] = value
        else:
            told = value if isinstance(value, str) else json.dumps(value)
            group[key] = as_text(told)


def write_texts(group: h5py.Group, name: str, values: Sequence[str]) -> None:
    """Write a list of texts."""
    told = np.array([as_text(value) for value in values], object)
    group.create_dataset(name, told.shape, h5py.string_dtype(), told)


def as_text(value: object) -> str:
    """Return a text that HDF5 can hold: valid Unicode without NUL."""
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
