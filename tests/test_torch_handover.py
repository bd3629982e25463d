"""The way on to PyTorch, and back: what is trained here goes on there, on two processes."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="pip install 'minijepa[torch]'")

import torch.distributed as dist
import torch.multiprocessing as mp
from documents import ROOT
from torch.nn.parallel import DistributedDataParallel
from torch_twin import ToyJEPA, load_checkpoint, tensors, trained, training_step, twin

from minijepa import checkpoint
from minijepa.cli import main
from minijepa.optimizers import Adam
from minijepa.train import Training
from minijepa.worlds import WORLDS

torch.set_num_threads(1)

PROCESSES, BATCH, RATE = 2, 32, 3e-3
EPOCHS = 12                                            # of the words, in all
every_world = pytest.mark.parametrize("name", WORLDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint of each world: one epoch, or nearly all, of those planned; of float64, since
    Adam divides by gradients that may be nothing but rounding."""
    folder = tmp_path_factory.mktemp("handover")
    for name in WORLDS:
        planned = EPOCHS if name == "words" else 2
        training = Training.start(name, {"epochs": planned, "batch_size": BATCH,
                                         "dtype": "float64"})
        for row in training.rows():
            if row["epoch"] >= planned - 2 and row["epoch"] > 0:
                break
        checkpoint.save(folder / f"{name}.npz", *training.finished)
    return folder


def handed_over(folder, name):
    """The training that a checkpoint holds, the twin, and a batch."""
    training = Training.load(str(folder / f"{name}.npz"), name)
    return training, twin(training.model), next(iter(
        training.world.batches(BATCH, np.random.default_rng(1))))


@every_world
def test_outputs_are_equal(folder, name):
    training, theirs, (x, y, z) = handed_over(folder, name)
    prediction, s_y = theirs.predict(*tensors((x, z))), theirs.encode_target(*tensors((y,)))
    assert_equal(prediction.detach(), training.model.predict(x, z)[0])
    assert_equal(s_y.detach(), training.model.encode_target(y)[0])


def test_outputs_of_the_listing_are_equal(folder):
    training, _, ((context_ids, mask), y, _) = handed_over(folder, "words")
    listing = ToyJEPA(len(training.world.vocabulary)).double()
    load_checkpoint(listing, folder / "words.npz")
    prediction, s_y = listing(*tensors((context_ids, y[0], mask)))
    assert_equal(prediction.detach(), training.model.predict((context_ids, mask))[0][0])
    assert_equal(s_y.detach(), training.model.encode_target(y)[0][0])


def assert_equal(theirs, ours):
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-10)


# ---- on two processes, spawned once for all worlds

def share(rank, batch):
    """This process' part of a global batch: x, y and z are cut along B."""
    x, y, z = tensors(batch)
    cut = x if isinstance(x, tuple) else (x,)
    cut = tuple(each.chunk(PROCESSES)[rank] for each in cut)
    along = [each if each is None else each.chunk(PROCESSES, dim=1)[rank] for each in (y, z)]
    return cut if isinstance(x, tuple) else cut[0], *along


def on_one_process(rank, folder):
    """What each does: one step in every world, and two more epochs of words; rank 0 keeps them."""
    folder = Path(folder)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank,
                            world_size=PROCESSES)
    try:
        for name in WORLDS:
            training, theirs, batch = handed_over(folder, name)
            optimizer = torch.optim.Adam(trained(theirs), RATE)
            parallel = DistributedDataParallel(theirs)
            loss = training_step(parallel, optimizer, *share(rank, batch))
            if rank == 0:
                keep(folder / f"{name}-step.npz", theirs, loss=loss, **{
                    f"grad/{part}": parameter.grad
                    for part, parameter in theirs.named_parameters(remove_duplicate=False)
                    if parameter.grad is not None})
            if name == "words":
                go_on(rank, folder, training.world, theirs, parallel, optimizer)
    finally:
        dist.destroy_process_group()


def keep(path, theirs, **arrays):
    np.savez(path, **arrays, **{name: value.numpy() for name, value in theirs.state_dict().items()})


def go_on(rank, folder, world, theirs, parallel, optimizer):
    rng, losses = np.random.default_rng(1), []         # on both the same batches, in one order
    for _ in range(2):
        losses.append(np.mean([float(training_step(parallel, optimizer, *share(rank, batch)))
                               for batch in world.batches(BATCH, rng)]))
    if rank == 0:
        keep(folder / "words-after.npz", theirs, losses=losses)


@pytest.fixture(scope="module")
def there(folder):
    """The folder, with what two processes have made of its checkpoints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLOO_SOCKET_IFNAME", "lo")
        mp.spawn(on_one_process, (str(folder),), nprocs=PROCESSES)
    return folder


@every_world
def test_a_step_on_two_processes_equals_one_on_one_and_ours(there, name):
    """Also where the loss is no mean over examples: variance, covariance, InfoNCE."""
    training, theirs, batch = handed_over(there, name)
    step = dict(np.load(there / f"{name}-step.npz"))
    loss = training_step(theirs, torch.optim.Adam(trained(theirs), RATE), *tensors(batch))

    ours = training.model
    our_loss, backward = ours.forward(*batch)
    ours.grad[:] = 0
    backward()
    Adam(ours.value, ours.grad, RATE).step()
    ours.update_target()

    assert_equal(step.pop("loss"), loss)
    assert_equal(loss, our_loss)
    for part, value in theirs.state_dict().items():
        parameter, grad = ours.named_parameters()[part], step.pop(f"grad/{part}", 0)
        assert_equal(grad, parameter.grad)
        assert_equal(step.pop(part), value)
        assert_equal(value, parameter.value)
    assert not step


@every_world
def test_back_again_and_resumed(there, name):
    """Their arrays in our checkpoint, under the same names."""
    parameters, state = checkpoint.load(there / f"{name}.npz")
    step = {part: value for part, value in np.load(there / f"{name}-step.npz").items()
            if part in parameters}
    assert parameters.keys() == step.keys()
    back, on = str(there / f"{name}-back.npz"), str(there / f"{name}-on.npz")
    checkpoint.save(back, step, state)
    main([name, "--quiet", "--resume", back, "--save", on])
    resumed = Training.load(on, name)
    assert resumed.epoch == resumed.config["epochs"] > int(state["epoch"]) > 0
    assert np.isfinite(resumed.loss)


def test_the_loss_goes_on_from_where_it_was(there):
    after = dict(np.load(there / "words-after.npz"))
    training, losses = handed_over(there, "words")[0], after.pop("losses")
    assert abs(losses[0] / training.loss - 1) < 0.25   # of one more epoch, not of a new start
    untrained = Training.start("words", {"dtype": "float64"})
    _, state = checkpoint.load(there / "words.npz")
    checkpoint.save(there / "after.npz", after, state)
    loaded = Training.load(str(there / "after.npz"), "words")
    last, here, first = (each.world.measure(each.model)["relative_loss"]
                         for each in (loaded, training, untrained))
    assert last < here < first


@every_world
def test_the_readmes_way_on(folder, name, tmp_path, monkeypatch):
    """Its block, as it stands but for the world, and for smaller batches."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## When you outgrow")[2]
    block = section.partition("```text\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    Path("rooms.npz").write_bytes((folder / f"{name}.npz").read_bytes())
    assert '"rooms")' in block and "batches(64" in block
    exec(block.replace('"rooms")', f'"{name}")').replace("batches(64", "batches(8"), {})
    (before, state), (after, same) = map(checkpoint.load, ("rooms.npz", "back.npz"))
    assert before.keys() == after.keys() and state.keys() == same.keys()
    assert all((before[part] != after[part]).any() for part in before if part[-4:] == "bias")
