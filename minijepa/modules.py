"""Parameter, Module, and the one flat vector in which all parameters live."""

import numpy as np


def expect(who, x, shape, dtype):
    """Raise a one-line error unless the array x has this shape and dtype.

    `...` at the front of the shape stands for any leading dimensions. Nothing is broadcast
    and nothing is promoted: a gradient of the wrong shape that happens to broadcast is the
    bug that takes longest to find.
    """
    if not isinstance(x, (np.ndarray, np.generic)):
        raise TypeError(f"{who}: wanted a NumPy array, was given {type(x).__name__}")
    fits = x.shape[-len(shape) + 1:] == shape[1:] if shape[:1] == (...,) else x.shape == shape
    if not fits:
        wanted = str(shape).replace("Ellipsis", "...")
        raise ValueError(f"{who}: wanted shape {wanted}, was given {x.shape}")
    if x.dtype != dtype:
        raise TypeError(f"{who}: wanted dtype {np.dtype(dtype)}, was given {x.dtype}")


class Parameter:
    """An array that is trained, and the gradient of the loss toward it.

    Gradients accumulate (`+=`), as in PyTorch: a shared parameter has several paths to the loss.
    """

    def __init__(self, value):
        self.value = value
        self.grad = np.zeros_like(value)


class Module:
    """Owns parameters and other modules, named by its attributes as PyTorch's `state_dict` does.

    `forward(x)` returns the output and `backward`, the function that takes gradients back: given
    the gradient of the output, `backward` adds to the gradients of the parameters and returns
    the gradient of the input. It never writes into the array that it is given.
    """

    def parts(self):
        """The parameters and modules directly below this one, by name."""
        return {name: part for name, part in vars(self).items()
                if isinstance(part, (Parameter, Module))}

    def children(self):
        """The modules among its parts."""
        return {name: part for name, part in self.parts().items() if isinstance(part, Module)}

    def named_parameters(self):
        """All parameters of this module and those below it: {"0.weight": Parameter, …}."""
        named = {name: part for name, part in self.parts().items() if isinstance(part, Parameter)}
        for name, child in self.children().items():
            for below, parameter in child.named_parameters().items():
                named[f"{name}.{below}"] = parameter
        return named

    def flatten(self, last=None):
        """Move every parameter into one vector, `self.value`, and every gradient into `self.grad`.

        Parameters become views into these vectors, and a shared one is in them once. Each
        module below gets its own stretch of both (unless it shares a part that lies elsewhere),
        so `model.grad[:] = 0` and `target_encoder.value[:] = context_encoder.value` are each one
        line. The parameters of `last`, a module below, are at the end. Returns self.
        """
        at_end = set(last.named_parameters().values()) if last else set()
        parameters = sorted(dict.fromkeys(self.named_parameters().values()),
                            key=at_end.__contains__)   # as they were, but for those
        for name, parameter in self.named_parameters().items():
            x = parameter.value
            expect(f"flatten, {name}", x, x.shape, parameters[0].value.dtype)
        value = np.concatenate([parameter.value.ravel() for parameter in parameters])
        grad = np.zeros_like(value)
        stretch, start = {}, 0
        for parameter in parameters:
            stop = start + parameter.value.size
            shape = parameter.value.shape
            parameter.value = value[start:stop].reshape(shape)
            parameter.grad = grad[start:stop].reshape(shape)
            stretch[parameter] = (start, stop)
            start = stop
        self._bind(value, grad, stretch)
        # Allocated and freed at once, never touched: malloc then keeps what a step frees for the
        # next one. Without it, each step returns its arrays to the system: half as slow again at
        # batch 256.
        np.empty(2**24, np.uint8)
        return self

    def _bind(self, value, grad, stretch):
        inside = {stretch[parameter] for parameter in self.named_parameters().values()}
        start, stop = min(inside, default=(0, 0))[0], max(inside, default=(0, 0))[1]
        if 0 < stop - start == sum(end - begin for begin, end in inside):  # nothing else between
            self.value, self.grad = value[start:stop], grad[start:stop]
        for child in self.children().values():
            child._bind(value, grad, stretch)
