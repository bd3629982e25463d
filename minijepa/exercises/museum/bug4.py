TITLE = "find the bug: a Mean that passes its check"
LIKE = "mean"
HINTS = """
The report says at which places dx is right. What about the other places?

Of the 60 entries of dx, how many belong to padding? That is how often one random entry finds the
bug.

dx is filled with dy / count at every token. Padding has no part in y: multiply with the mask.
"""
