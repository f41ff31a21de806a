"""Eigerwatch: the beam's intensity, live, from the frames of a DECTRIS Eiger."""
