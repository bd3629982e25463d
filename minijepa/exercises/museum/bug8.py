TITLE = "find the bug: a JEPA's target branch"
LIKE = "stop_gradient"
HINTS = """
The gradients are checked first. Which half of the file does the report speak of?

Take τ = 0.99, target = 0 and online = 1. Where is the target after one update, and where should it
be?

target + τ·(online − target) is (1 − τ)·target + τ·online. Exchange the two.
"""
