"""Runs `python -m analysis.pilot`."""

import sys

from analysis.pilot.command import main

sys.exit(main())
