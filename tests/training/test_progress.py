"""What is shown while pictures are read."""

from __future__ import annotations

import io
import re

from archspec.training import progress
from archspec.training.progress import PlainProgress, PlainReading, progress_to, reading_to


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_a_line_each_ten_seconds(monkeypatch):
    times = iter([0.0, 4.0, 9.9, 10.0, 15.0, 21.0, 22.0, 40.0])
    monkeypatch.setattr(progress, "monotonic", lambda: next(times))
    stream = io.StringIO()
    told = reading_to(stream)
    for done in (256, 512, 768, 1024, 1280, 1536):
        told("reading pictures", done, 20_001)
    told("checking pictures", 1, 9)
    told("checking pictures", 9, 9)
    assert stream.getvalue() == (
        "reading pictures: 1,024 of 20,001\nreading pictures: 1,536 of 20,001\n"
    )


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    told = reading_to(stream)
    told("reading pictures", 256, 256)
    assert stream.getvalue() == ""  # done before anybody looks
    told("reading pictures", 256, 1024)
    told("reading pictures", 512, 1024)
    assert told.progress is not None
    told("reading pictures", 1024, 1024)
    assert told.progress is None
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "reading pictures" in shown and "/1024" in shown
    told("checking pictures", 1, 9)
    told.close()
    told.close()
    assert told.progress is None


def test_a_terminal_gets_lines_where_rich_is_not_installed(monkeypatch):
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    assert isinstance(reading_to(Terminal()), PlainReading)
    assert isinstance(progress_to(Terminal()), PlainProgress)


def test_short_readings_are_silent(capsys):
    told = PlainReading()
    told("reading pictures", 1, 2)
    told("reading pictures", 2, 2)
    assert capsys.readouterr().err == ""
