"""Run in a namespace: `fastmld run` with these arguments, after all that it imports was imported.

Says on a line of its own when that was, in seconds of the monotonic clock, which is the same in every process.
"""

import sys
import time

from fastmld.__main__ import main

arguments = sys.argv[1:]
sys.argv = ["fastmld", "run", "-i", "nowhere0", "--join", "ff05::1"]  # fails, but not before it has imported everything
assert main() == 2
print(time.monotonic(), flush=True)
sys.argv = ["fastmld", "run", *arguments]
sys.exit(main())
