"""The whole JEPA step, from the parts that you have written. It then trains the word world.

x is (context_ids (B, T), mask (B, T)), the words that are seen; y is target_ids (K, B), the hidden
ones.

    context_ids  -> embedding (B, T, E)  -> mean (B, E)   -> context_encoder -> s_x (B, latent)
    target_ids   -> embedding (K, B, E)                   -> target_encoder  -> s_y (K, B, latent)

Three things to write. The backwards of encode_context (ds_x, the gradient toward s_x, comes in) and
of encode_target (ds_y comes in): no new derivative, the parts in reverse. And `step`, one step of
training: zero the gradients, forward, backward, optimizer step, target update; it returns the loss.
Mind the order, and ask of each neighbour what would happen if the two were exchanged.

Everything else here comes from your own files in this folder. When the check is content,
`python jepa_step.py` trains the model and shows what it has learned.

The check looks at: all gradients of the step in the three treatments; some steps against the same
steps done right; and a training, which must reach hits of 1.00, on sentences that were held out, in
at most 60 epochs. (Loops over entries in your layers make it slow: that it tells you too.)
"""

import numpy as np

import stop_gradient
from adam import Adam
from embedding import Embedding
from linear import Linear
from mean import Mean
from mse import mse
from relu import ReLU
from sequential import Sequential
from used_twice import Rollout

stop_gradient.mse = mse                     # your JEPA's forward calls mse: let it find yours


class ToyJEPA(stop_gradient.JEPA):
    def __init__(self, vocab_size, rng, embed_dim=32, hidden_dim=64, latent_dim=32,
                 dtype=np.float32, treatment="ema", tau=0.99):
        def perceptron(inputs):
            return Sequential(
                Linear(inputs, hidden_dim, rng, dtype),
                ReLU(),
                Linear(hidden_dim, latent_dim, rng, dtype),
            )

        self.embedding = Embedding(vocab_size, embed_dim, rng, dtype)
        self.mean = Mean()
        super().__init__(perceptron(embed_dim), perceptron(embed_dim),
                         Rollout(perceptron(latent_dim)), treatment, tau)

    def encode_context(self, x):
        context_ids, mask = x
        embedded, embedding_backward = self.embedding.forward(context_ids)     # (B, T, E)
        mean, mean_backward = self.mean.forward(embedded, mask)                # (B, E)
        s_x, encoder_backward = self.context_encoder.forward(mean)             # (B, latent)

        def backward(ds_x):
            raise NotImplementedError("your turn")

        return s_x, backward

    def encode_target(self, y):
        embedded, embedding_backward = self.embedding.forward(y)               # (K, B, E)
        s_y, encoder_backward = self.target_encoder.forward(embedded)          # (K, B, latent)

        def backward(ds_y):
            raise NotImplementedError("your turn")

        return s_y, backward


def step(model, optimizer, x, y):
    """One step of training; model.grad is the vector of all gradients, optimizer an Adam.

    Returns the loss.
    """
    raise NotImplementedError("your turn")


if __name__ == "__main__":
    from minijepa.worlds.words import Words

    rng = np.random.default_rng(0)
    world = Words(rng)
    model = ToyJEPA(len(world.vocabulary), rng)
    optimizer = Adam(model.value, model.grad, learning_rate=3e-3)
    for epoch in range(1, 61):
        losses = [step(model, optimizer, x, y) for x, y, _ in world.batches(32, rng)]
        if epoch % 10 == 0:
            hits = world.measure(model)["hits"]
            print(f"epoch {epoch}  loss {np.mean(losses):.4f}  hits {hits:.2f}")
    print(world.nearest(model, "the cat climbed up the __"))
