"""SIMPLON stream messages: bytes in, :mod:`eigerwatch.model` types out; no sockets."""
