"""What this host can do: kernel, recorded files, live stream.

Figures are ratios of things measured in turn within one run, because absolute times
differ from machine to machine and from minute to minute.
"""
