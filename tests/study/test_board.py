"""What a study shows: a live board on a terminal, lines when piped."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from light_run import units
from rich.console import Console

from segrank.console.study import StudyBoard, duration, summary
from segrank.study.state import State

UNITS = [replace(unit, encoder=name) for unit, name in zip(units(4), ["a", "b", "[red]c\x1b", "d"], strict=True)]
STATES = [
    State("done", scores={"scores": {"miou": 0.25}}),
    State("running", step=10, by="process 7 on host", work="train", done=10, total=40, remaining_s=4000.0),
    State("quarantined", failures=3, error="TrainingError: the loss is nan\nwanted: another\x1b[2J"),
    State("waiting"),
]


def test_a_summary_counts_and_names_the_best() -> None:
    assert summary(UNITS, STATES) == "4 runs: 1 done, 1 running, 1 quarantined, 1 waiting; best mIoU 25.00 (a, base)"
    assert summary(UNITS[3:], STATES[3:]) == "1 run: 1 waiting"
    assert summary([], []) == "0 runs: none"


def test_piped_there_is_a_line_and_no_escape() -> None:
    file = io.StringIO()
    with StudyBoard(Console(file=file, width=200)) as board:
        board.show(UNITS, STATES)
        board.show(UNITS, STATES[::-1])  # not a minute later
        board.say("a run \x1b[2J")
    assert file.getvalue().splitlines() == [summary(UNITS, STATES), "a run \N{REPLACEMENT CHARACTER}[2J"]


def test_on_a_terminal_there_is_who_runs_what_failed_and_what_is_best() -> None:
    file = io.StringIO()
    with StudyBoard(Console(file=file, width=200, height=50, force_terminal=True, color_system=None)) as board:
        board.show(UNITS, STATES)
    shown = file.getvalue()
    for text in ("train 10 of 40", "67 min", "process 7 on host", "3 (quarantined)", "[red]c", "1 of 4", "25.00"):
        assert text in shown, text
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (89, "89 s"), (720, "12 min"), (12_000, "3 h 20 min"), (270_000, "3 d 3 h")]
)
def test_durations_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said
