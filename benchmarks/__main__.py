"""`python -m benchmarks`: the whole performance suite."""

import sys

from benchmarks.against_numpy import main

sys.exit(main())
