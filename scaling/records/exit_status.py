"""How a command ends: 0 when whoever read its output has gone, 130 after Ctrl-C, otherwise with its own status."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import TextIO

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def drop_output() -> None:
    """Sends what is still in the buffers to nowhere: Python would complain at its exit that the pipe is gone."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class OutputError(Exception):
    """What a command prints cannot be written; the text says why."""


def _escape_controls(stream: TextIO) -> None:
    """Makes a stream write control and escape codes as text: names and messages from files may hold what moves a
    terminal's cursor or changes its title. Lines, tabs and a progress line's return stay."""
    write = stream.write

    def write_plain(text: str) -> int:
        try:
            return write(_CONTROL.sub(lambda found: repr(found[0])[1:-1], text))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error.strerror) from error

    stream.write = write_plain  # type: ignore[method-assign]


def _flush(stream: TextIO) -> None:
    """A broken pipe or a full disk is noticed here, not at Python's exit."""
    try:
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(error.strerror) from error


def exit_status(command: Callable[[], int | None]) -> int:
    """Runs a command and returns its exit status: 0 on a broken pipe (`| head`), 130 on Ctrl-C, 1 where its output
    cannot be written, without a traceback.

    Args:
        command: returns its own status, None for 0; a SystemExit of it passes through.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell: >&-
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        _escape_controls(getattr(sys, name))
    try:
        try:
            return command() or 0
        finally:
            _flush(sys.stdout)
    except BrokenPipeError:
        drop_output()
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except OutputError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left of it goes nowhere
        print(f"error: standard output cannot be written: {error}", file=sys.stderr)
        return 1
