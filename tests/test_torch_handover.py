"""The way on to PyTorch, and back: a model trained here goes on there, on two processes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pip install 'minijepa[torch]'")

import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from torch_twin import ToyJEPA as Twin
from torch_twin import load_checkpoint

from minijepa import checkpoint
from minijepa.train import Training

ROOT = Path(__file__).parents[1]
PROCESSES, BATCH = 2, 32


def command(*arguments):
    subprocess.run([sys.executable, "-m", "minijepa.train", "--quiet", *map(str, arguments)],
                   check=True, cwd=ROOT)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model after 10 epochs."""
    path = tmp_path_factory.mktemp("handover") / "words.npz"
    command("--epochs", 10, "--save", path)
    return path


@pytest.fixture(scope="module")
def training(saved):
    return Training.load(str(saved), "words")


def as_tensors(x, y):
    (context_ids, mask), target_ids = x, y
    return torch.from_numpy(context_ids), torch.from_numpy(target_ids[0]), torch.from_numpy(mask)


def test_outputs_are_equal(saved, training):
    twin = Twin(len(training.world.vocabulary))
    load_checkpoint(twin, saved)
    x, y = training.world.examples(training.world.held_out)
    prediction, target = twin(*as_tensors(x, y))
    ours = training.model.predict(x)[0][0], training.model.encode_target(y)[0][0]
    np.testing.assert_allclose(prediction.detach(), ours[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(target.detach(), ours[1], rtol=1e-6, atol=1e-6)


def on_one_process(rank, folder, work):
    """What each of the two processes does: join the others, work, leave."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet-{work.__name__}", rank=rank,
                            world_size=PROCESSES)
    try:
        work(rank, Path(folder))
    finally:
        dist.destroy_process_group()


def on_two_processes(work, folder, saved, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    (folder / "words.npz").write_bytes(saved.read_bytes())
    mp.spawn(on_one_process, (str(folder), work), nprocs=PROCESSES)


def handed_over(folder):
    """The world, and the model on all processes."""
    world = Training.load(str(folder / "words.npz"), "words").world
    twin = Twin(len(world.vocabulary))
    load_checkpoint(twin, folder / "words.npz")
    return world, twin, DistributedDataParallel(twin)


def share(rank, tensors):
    """This process' part of a global batch. All parts are of one size: each divides by its own."""
    return [tensor.chunk(PROCESSES)[rank] for tensor in tensors]


def gradients_of_a_batch(rank, folder):
    world, twin, parallel = handed_over(folder)
    x, y = world.examples(world.training[:BATCH])
    prediction, target = parallel(*share(rank, as_tensors(x, y)))
    F.mse_loss(prediction, target).backward()
    if rank == 0:
        np.savez(folder / "gradients.npz", **{name: parameter.grad
                                              for name, parameter in twin.named_parameters()
                                              if parameter.grad is not None})


def test_gradients_of_a_global_batch_are_equal(saved, training, tmp_path, monkeypatch):
    on_two_processes(gradients_of_a_batch, tmp_path, saved, monkeypatch)
    model, world = training.model, training.world
    model.grad[:] = 0
    model.forward(*world.examples(world.training[:BATCH]))[1]()
    theirs = np.load(tmp_path / "gradients.npz")
    ours = {name: parameter.grad for name, parameter in model.named_parameters().items()}
    assert set(theirs) == {name for name in ours if not name.startswith("target_encoder")}
    for name in theirs:
        np.testing.assert_allclose(theirs[name], ours[name], rtol=0, atol=1e-6)
    assert all(not ours[name].any() for name in ours if name not in theirs)


def go_on(rank, folder):
    """Three epochs of the same training; rank 0 keeps the mean losses, and the parameters."""
    world, twin, parallel = handed_over(folder)
    optimizer = torch.optim.Adam((p for p in twin.parameters() if p.requires_grad), lr=3e-3)
    rng, losses = np.random.default_rng(1), []         # on both the same batches, in one order
    for _ in range(3):
        epoch = []
        for x, y, _ in world.batches(BATCH, rng):
            prediction, target = parallel(*share(rank, as_tensors(x, y)))
            loss = F.mse_loss(prediction, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            twin.update_target()
            dist.all_reduce(loss.detach())
            epoch.append(float(loss))
        losses.append(np.mean(epoch))
    if rank == 0:
        arrays = {name: value.numpy() for name, value in twin.state_dict().items()}
        np.savez(folder / "after.npz", losses=losses, **arrays)


def test_the_loss_goes_on_from_where_it_was_and_back_again(saved, training, tmp_path, monkeypatch):
    on_two_processes(go_on, tmp_path, saved, monkeypatch)
    after = dict(np.load(tmp_path / "after.npz"))
    losses = after.pop("losses") / PROCESSES                       # all_reduce sums
    untrained = Training.start("words", {})
    relative = untrained.world.measure(untrained.model)["relative_loss"]
    assert abs(losses[0] / training.loss - 1) < 0.25   # of one more epoch, not of a new start

    # back: their arrays in our checkpoint
    parameters, state = checkpoint.load(saved)
    assert parameters.keys() == after.keys()
    back = tmp_path / "back.npz"
    checkpoint.save(back, after, state)
    loaded = Training.load(str(back), "words")
    there, here = (each.world.measure(each.model)["relative_loss"] for each in (loaded, training))
    assert there < here < relative
    command("--resume", back, "--epochs", 12, "--save", tmp_path / "on.npz")
    assert Training.load(str(tmp_path / "on.npz"), "words").epoch == 12
