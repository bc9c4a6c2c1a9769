"""`python -m scaling.data`."""

import sys

from scaling.data.command import main

sys.exit(main())
