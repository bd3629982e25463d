"""One thread for the small matrices of the tests; set before NumPy is imported.

See minijepa/__init__.py.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_terminal_summary(terminalreporter):
    left_out = len(terminalreporter.stats.get("deselected", []))
    if left_out and terminalreporter.config.option.markexpr == "not slow":
        terminalreporter.write_line(
            f"{left_out} long tests are left out: python -m pytest -m slow runs them")
