"""Beam analysis: pure functions on arrays, shared by API, page, report and CLI."""
