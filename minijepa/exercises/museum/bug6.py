TITLE = "find the bug: all gradients are right, and yet"
LIKE = "used_twice"
HINTS = """
The parameters' gradients are all right. What else is there that a backward could have done?

Who owns dpredictions? Look at dpredictions before the call and after it.

dpredictions[k - 1] += … writes into the caller's array. Add into a new one: ds =
backwards[k](dpredictions[k] + ds), with ds = 0 at first.
"""
