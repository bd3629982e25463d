TITLE = "find the bug: an mse that passes its check"
LIKE = "mse"
HINTS = """
The report names the factor, and the size that it belongs to. What is that size in the check in the
file?

The check in the file has a batch of one. What does it change to divide by 1, as often as one likes?

difference.size is B·L: the batch is in it already.
"""
