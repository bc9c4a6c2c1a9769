"""How a command ends: 0 when whoever read its output has gone, 130 after Ctrl-C, otherwise with its own status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def drop_output() -> None:
    """Sends what is still in the buffers to nowhere: Python would complain at its exit that the pipe is gone."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def exit_status(command: Callable[[], int | None]) -> int:
    """Runs a command and returns its exit status: 0 on a broken pipe (`| head`), 130 on Ctrl-C, without a traceback.

    Args:
        command: returns its own status, None for 0; a SystemExit of it passes through.
    """
    try:
        try:
            return command() or 0
        finally:
            sys.stdout.flush()  # a broken pipe is noticed here, not at Python's exit
    except BrokenPipeError:
        drop_output()
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
