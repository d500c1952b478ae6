"""Tables as people read them, of what each verb on results found: for a terminal, a page or a paper. No torch."""
