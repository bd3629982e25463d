"""minijepa: a JEPA from scratch in plain NumPy."""

import os
import signal
import sys

# The matrices here are small. Two threads gain a sixth on an idle machine (video: 7.8 s for 9.2 s),
# and on a busy one they wait for each other in a loop (46 s). Set the variable yourself to have it
# otherwise.
if "numpy" not in sys.modules:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# python -m: a Ctrl-C during the imports ends it without a traceback; `options.run` takes over.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
