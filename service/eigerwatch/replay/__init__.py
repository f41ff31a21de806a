"""Recorded files: a detector's HDF5 master as the messages that a stream yields.

`recording.open_master` is the way in. The HDF5 library is only ever used in a
process of its own (`reader`), because hostile or damaged files can crash it; what
comes back is a table of where each compressed image lies on disk.
"""
