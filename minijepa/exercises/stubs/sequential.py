"""Sequential: layers one after the other. Its backward is the chain rule.

    x  ->  layer 0  ->  layer 1  ->  …  ->  y
    backward: dy, the gradient toward y  ->  dx, the gradient toward x

Each layer's forward has returned a backward of its own, and these are in `backwards`, in the order
of the layers. The backward of a layer turns the gradient of its output into the gradient of its
input, and its input is the output of the layer before it. Which of them can be called first, with
dy?

There is no derivative to work out here, and this is all there is to "backpropagation".

The check looks at: dx and the gradients of all layers below, for one layer, for several, for none,
and with the same layer in two places.
"""

from minijepa.modules import Module


class Sequential(Module):
    def __init__(self, *layers):
        self.layers = layers

    def parts(self):
        return {str(index): layer for index, layer in enumerate(self.layers)}

    def forward(self, x):
        backwards = []
        for layer in self.layers:
            x, backward = layer.forward(x)
            backwards.append(backward)

        def backward(dy):
            raise NotImplementedError("your turn")

        return x, backward
