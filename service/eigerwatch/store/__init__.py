"""The Redis time series: keys, writing, reading, keeping it within bounds."""
