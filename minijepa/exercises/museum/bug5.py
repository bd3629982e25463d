TITLE = "find the bug: a ReLU that passes its check"
LIKE = "relu"
HINTS = """
The check in the file calls forward once and then backward. What happens if forward is called again
before it?

There is one `self`, and every forward writes into it. backward then reads what the last forward has
written, not its own.

Keep it in a local variable, positive = x > 0: each call of forward makes a new one, and its
backward sees just that one.
"""
