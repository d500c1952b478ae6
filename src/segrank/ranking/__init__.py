"""From scores and per-image counts to rankings that carry their uncertainty. No torch here."""
