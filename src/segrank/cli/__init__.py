"""The command line: a verb or a few in each file; each parses and calls one public function."""

from segrank.cli.verbs import app, main

__all__ = ["app", "main"]
