"""What rankings come to, for people: sheets of text, and one page. No torch here."""
