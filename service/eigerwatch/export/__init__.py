"""Files for people and other programs: tables, sums and the plot."""
