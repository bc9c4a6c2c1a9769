"""Runs `python -m analysis.repeats`."""

import sys

from analysis.repeats.command import main

sys.exit(main())
