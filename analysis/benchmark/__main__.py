"""Runs `python -m analysis.benchmark`."""

import sys

from analysis.benchmark.command import main

sys.exit(main())
