"""From what the ranking half found to what a person opens, reads and cites. No torch."""
