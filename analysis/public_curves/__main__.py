"""Runs `python -m analysis.public_curves`."""

import sys

from analysis.public_curves.command import main

sys.exit(main())
