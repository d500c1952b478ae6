"""The sections of a page, a file each: what a study found, in words, figures and tables. No torch."""
