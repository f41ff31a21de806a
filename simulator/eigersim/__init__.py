"""Eigersim: a virtual DECTRIS Eiger that pushes SIMPLON streams."""
