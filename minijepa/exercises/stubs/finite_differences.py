"""The finite-difference check itself: the slope of f at x, measured.

    ∂f/∂x_i ≈ (f(x + ε·e_i) − f(x − ε·e_i)) / 2ε          e_i: 1 at entry i, 0 elsewhere

Everything after this exercise is judged by this number: it knows nothing of the chain rule, so it
cannot make the same mistake as you.

f takes no argument: it reads the array x (any shape) and returns a number; so to ask for f(x +
ε·e_i), change the one entry x[index] in place, and call f(). index is a tuple, as in x[0, 2].

Derive why the two-sided difference is better than (f(x + ε) − f(x)) / ε: write the Taylor series
of f(x + ε) and f(x − ε), and see which terms cancel.

The check looks at: the value, for several f, shapes and ε; that f saw x with that one entry moved
and no other; and that x is afterwards what it was, bit for bit. (Is 0.1 + 1e-5 − 1e-5 the same as
0.1?)
"""

EPSILON = 1e-5


def central_difference(f, x, index, epsilon=EPSILON):
    """(f(x + ε) − f(x − ε)) / 2ε for one entry of x; x is put back as it was."""
    raise NotImplementedError("your turn")
