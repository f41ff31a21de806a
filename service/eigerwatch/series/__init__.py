"""The ledger: order, gaps, duplicates and states of series. Pure: no I/O, no clock."""
