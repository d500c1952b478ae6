"""`python -m segrank` is `segrank`."""

from segrank.cli import main

main()
