"""The command `python -m kerastorch.keras.check`."""

import sys

from kerastorch.keras.check.command import main

sys.exit(main())
