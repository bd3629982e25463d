TITLE = "find the bug: a Linear that passes its check"
LIKE = "linear"
HINTS = """
The report says of which array the gradient is wrong, and what it does not depend on. Find the line
that computes it.

The check in the file has a dy of all ones. What is the sum of N ones? Would another formula give
the same?

Each row of y has the bias added once, so the gradient of the bias is the sum of dy over the rows: a
sum, and not a count.
"""
