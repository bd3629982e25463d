import numpy as np

from minijepa.exercises.checks import Case

TITLE = "finite differences: the slope, measured"
SOURCE = "minijepa.gradcheck:shifted minijepa.gradcheck:central_difference"
HINTS = """
f reads x itself, so you ask for f(x + ε·e_i) by changing x[index] and calling f(). You need two
such calls, one on each side of x.

The two points are 2ε apart: the difference of the two values is divided by 2ε. Mind the
parentheses: a / 2 * epsilon is (a / 2) * epsilon.

x[index] += epsilon and then x[index] -= epsilon does not always give back the same number, since
both round. Keep the number that was there: kept = x[index].

kept = x[index]; x[index] = kept + epsilon; right = f(); x[index] = kept - epsilon; left = f();
x[index] = kept.
"""
MISTAKES = r"""
### only one side is measured: (f(x + ε) − f(x)) / ε
shifted(f, x, index, -epsilon)) / (2 * epsilon) => f()) / epsilon
### only one side is measured: (f(x) − f(x − ε)) / ε
(shifted(f, x, index, epsilon) - shifted(f, x, index, -epsilon)) / (2 * epsilon)
=> (f() - shifted(f, x, index, -epsilon)) / epsilon
### f(x + ε) − f(x) is divided by 2ε: the second value was not taken at x − ε
shifted(f, x, index, -epsilon) => f()
### f(x) − f(x − ε) is divided by 2ε: the first value was not taken at x + ε
shifted(f, x, index, epsilon) - => f() -
### f was called before x was moved, or x was moved in a copy that f does not read
kept = x[index] => x = x.copy(); kept = x[index]
### it is divided by ε and not by 2ε, though the two points are 2ε apart
/ (2 * epsilon) => / epsilon
### the difference is not divided by 2ε
/ (2 * epsilon) =>
### it is divided by 2 and not by 2ε
/ (2 * epsilon) => / 2
### it is multiplied by 2ε in place of divided
/ (2 * epsilon) => * (2 * epsilon)
### it is divided by 2 and multiplied by ε: (… / 2 * ε) lacks its parentheses
/ (2 * epsilon) => / 2 * epsilon
### only the second value is divided by 2ε: the difference lacks its parentheses
(shifted(f, x, index, epsilon) - shifted(f, x, index, -epsilon)) /
=> shifted(f, x, index, epsilon) - shifted(f, x, index, -epsilon) /
### the two are exchanged: f(x − ε) − f(x + ε)
index, epsilon) - => index, -epsilon) -
index, -epsilon)) / => index, epsilon)) /
### the size of the slope is returned without its sign: abs
return (shifted => return abs(shifted
### the two values are added, and should be subtracted
) - shifted => ) + shifted
### it is divided by ε², as a second derivative is
/ (2 * epsilon) => / epsilon**2
### this is the second derivative, (f(x + ε) − 2·f(x) + f(x − ε)) / ε²
) - shifted(f, x, index, -epsilon)) / (2 * epsilon)
=> ) - 2 * f() + shifted(f, x, index, -epsilon)) / epsilon**2
### it is divided by 4ε, or halved once too often
/ (2 * epsilon) => / (4 * epsilon)
### it is divided by the square of 2ε
/ (2 * epsilon) => / (2 * epsilon)**2
### all entries of x are moved and not just x[index]
kept = x[index] => index = ...; kept = 1 * x
### the whole row is moved, and not the one entry x[index]
kept = x[index] => index = index[0]; kept = 1 * x[index]
### f is called with an argument: it takes none, and reads x itself, which you change in place
return (shifted => f(x); return (shifted
### another entry than x[index] is moved: the first, x[0]
kept = x[index] => index = (0,) * x.ndim; kept = x[index]
### x + ε and x + 2ε were compared: x was not put back in between
shifted(f, x, index, -epsilon) => shifted(f, x, index, 2 * epsilon)
return ( => return -(
### the step is relative: ε·x[index] in place of ε, and it is divided by 2ε all the same
kept + shift => kept * (1 + shift)
### the argument epsilon is ignored
return ( => epsilon = EPSILON; return (
### the argument epsilon is ignored, and 1e-6 is used
return ( => epsilon = 1e-6; return (
### the argument epsilon is ignored, and 1e-4 is used
return ( => epsilon = 1e-4; return (
### x is left at x + ε: the value that was there is not put back
right = f() if x.__setitem__(index, x[index] + epsilon) is None else 0
x[index] -= 2 * epsilon; left = f(); x[index] += 2 * epsilon
return (right - left) / (2 * epsilon)
### x is left at x − ε: after the second call the value that was there is not put back
x[index] += epsilon; right = f(); x[index] -= 2 * epsilon
return (right - f()) / (2 * epsilon)
### x is left where it was moved to: shifted by ε or 2ε, the value that was there is not put back
x[index] += epsilon; right = f(); x[index] -= epsilon; left = f(); x[index] -= epsilon
return (right - left) / (2 * epsilon)
### x[index] += ε, −= 2ε and += ε do not give back the same number: both round. Keep the number
### that was there, and put that back
x[index] += epsilon; right = f(); x[index] -= 2 * epsilon; left = f(); x[index] += epsilon
return (right - left) / (2 * epsilon)
# or
x[index] -= epsilon; left = f(); x[index] += 2 * epsilon; right = f(); x[index] -= epsilon
return (right - left) / (2 * epsilon)
# or
x[index] += epsilon; right = f(); x[index] -= epsilon; x[index] -= epsilon; left = f()
x[index] += epsilon; return (right - left) / (2 * epsilon)
### 0 is put back, and not the value that was there
kept = x[index]; x[index] = kept + epsilon; right = f(); x[index] = kept - epsilon; left = f()
x[index] = 0; return (right - left) / (2 * epsilon)
"""


def cases():
    rng = np.random.default_rng(0)
    for shape, index, epsilon in [((5,), (3,), 1e-2), ((3, 4), (2, 1), 1e-5), ((4,), (1,), 2e-3),
                                  ((2, 3, 2), (1, 0, 1), 1e-3), ((1,), (0,), 1e-4)]:
        x, weight = rng.standard_normal(shape) / 3, rng.standard_normal(shape)
        yield slope(f"x of shape {shape}, index {index}, ε = {epsilon:g}", x, index, epsilon,
                    lambda x, w=weight: float(np.sum(w * np.exp(2 * x)) - np.sum(x)**3 + x.sum()))
    x = np.append(np.linspace(0.1, 0.7, 7), rng.standard_normal(40))
    for index in np.ndindex(x.shape):                  # x bit for bit at every entry
        yield slope(f"f = Σ x², index {index}, with the default ε", x, index, None,
                    lambda x: float(np.sum(x**2)))


def slope(what, original, index, epsilon, at):
    def look(module):
        x, saw = original.copy(), []

        def f():
            saw.append(np.count_nonzero(x != original))
            return at(x)

        f.__qualname__ = "f"
        result = module.central_difference(f, x, index, *([epsilon] if epsilon else []))
        return {"the slope": result, "_x": x,
                "f saw other entries of x moved than x[index]": max(saw, default=0) > 1,
                "x is not put back as it was, bit for bit": x.tobytes() != original.tobytes()}

    return Case(f"central_difference, {what}", look, 1e-12 / (epsilon or 1e-5))
