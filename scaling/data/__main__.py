"""`python -m scaling.data`."""

import sys

from scaling.data.command import main
from scaling.records.exit_status import exit_status

sys.exit(exit_status(main))
