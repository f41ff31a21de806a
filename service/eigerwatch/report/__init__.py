"""Reports to file: one run, or two compared, as HTML page or as PDF."""
