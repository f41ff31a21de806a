"""What happened during a series: its frames that stand out, and changes of level."""
