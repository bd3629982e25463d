"""One thread for the small matrices of the tests; set before NumPy is imported.

See minijepa/__init__.py.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
