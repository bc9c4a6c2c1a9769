"""Runs `python -m analysis.advise`."""

import sys

from analysis.advise.command import main

sys.exit(main())
