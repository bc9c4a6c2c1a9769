"""Runs `python -m analysis.calibrate`."""

import sys

from analysis.calibrate.command import main

sys.exit(main())
