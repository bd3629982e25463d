"""Checkpoints: what is written comes back, whole or not at all; nothing damaged is loaded."""

import io
import os
import pickle
import stat
import zipfile

import numpy as np
import pytest

from minijepa import checkpoint
from minijepa.options import UserError

PARAMETERS = {"layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
              "layer.bias": np.array([1.5, -2.5])}
STATE = {"epoch": 3, "loss": 0.25, "config": '{"word": "naïve τ"}',
         "world/words": np.array(["a", "é"]), "is_corpus": True}


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.npz")


@pytest.fixture
def saved(path):
    checkpoint.save(path, PARAMETERS, STATE)
    return path


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def same(a, b):
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name]) for name in a)


def refused(path, *fragments):
    with pytest.raises(UserError) as caught:
        checkpoint.load(path)
    message = str(caught.value)
    assert path in message and "\n" not in message
    for fragment in fragments:
        assert fragment in message


# Saving and loading

def test_what_is_saved_is_loaded_and_is_a_plain_npz(saved):
    """All but the parameters is prefixed."""
    parameters, state = checkpoint.load(saved)
    assert same(parameters, PARAMETERS)
    wanted = {name: np.array(value) for name, value in STATE.items()}
    assert same(state, wanted)
    with np.load(saved, allow_pickle=False) as archive:
        arrays = dict(archive)
    assert arrays.pop("state/format_version") == 2
    assert same(arrays, {**PARAMETERS, **{f"state/{name}": x for name, x in wanted.items()}})
    assert arrays["state/config"].dtype.kind == arrays["state/world/words"].dtype.kind == "U"


def test_the_same_content_gives_the_same_bytes(saved, tmp_path):
    checkpoint.save(str(tmp_path / "again"), PARAMETERS, STATE)    # no suffix is added to the name
    assert contents(saved) == contents(tmp_path / "again")
    assert sorted(os.listdir(tmp_path)) == ["again", "model.npz"]


def test_under_keeps_what_has_the_prefix_and_drops_it():
    assert checkpoint.under({"a/x": 1, "a/y/z": 2, "b/x": 3, "a": 4}, "a/") == {"x": 1, "y/z": 2}


# Writing: whole or not at all

def test_the_old_file_stands_until_the_new_one_is_whole(path, tmp_path):
    put(path, b"old")

    def write(file):
        file.write(b"new")
        file.flush()
        assert contents(path) == b"old"

    checkpoint.write_file(path, write)
    assert contents(path) == b"new"
    assert os.listdir(tmp_path) == ["model.npz"]


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("error, raised", [
    (OSError(28, "No space left on device"), UserError),
    (ValueError("cannot be written"), UserError),
    (KeyboardInterrupt(), KeyboardInterrupt),
    (MemoryError(), MemoryError),
])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path, tmp_path, existed, error,
                                                                 raised):
    if existed:
        put(path, b"old")

    def write(file):
        file.write(b"half of the new")
        raise error

    with pytest.raises(raised) as caught:
        checkpoint.write_file(path, write)
    if raised is UserError:
        assert path in str(caught.value) and str(error).split("] ")[-1] in str(caught.value)
    assert os.listdir(tmp_path) == (["model.npz"] if existed else [])
    assert not existed or contents(path) == b"old"


def test_a_link_stays_a_link(tmp_path):
    put(tmp_path / "model", b"old")
    os.symlink("model", tmp_path / "link")
    checkpoint.write_file(str(tmp_path / "link"), lambda file: file.write(b"new"))
    assert os.path.islink(tmp_path / "link") and contents(tmp_path / "model") == b"new"


def test_a_pipe_is_written_to_as_it_is(path, tmp_path):
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        checkpoint.check_writable(path)
        checkpoint.write_file(path, lambda file: file.write(b"through"))
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(os.stat(path).st_mode) and os.listdir(tmp_path) == ["model.npz"]


def test_dev_stdout_may_be_a_pipe(tmp_path):
    read, write = os.pipe()                            # as in: train --json /dev/stdout | less
    os.symlink(f"/proc/self/fd/{write}", tmp_path / "stdout")
    if not os.path.exists(tmp_path / "stdout"):
        pytest.skip("there is no /proc here")
    checkpoint.check_writable(str(tmp_path / "stdout"))
    checkpoint.write_file(str(tmp_path / "stdout"), lambda file: file.write(b"through"))
    os.close(write)
    assert os.read(read, 100) == b"through"
    os.close(read)


@pytest.mark.parametrize("name, reason", [
    (".", "folder"), ("", "folder"), ("missing/model.npz", "folder does not exist"),
    ("file/model.npz", "folder does not exist"), ("x" * 300, "too long"),
    pytest.param("/proc/model.npz", "cannot write", marks=pytest.mark.skipif(
        not os.path.isdir("/proc/self"), reason="no /proc, where not even root may write")),
])
def test_check_writable_finds_beforehand_what_would_fail(tmp_path, monkeypatch, name, reason):
    monkeypatch.chdir(tmp_path)
    put("file", b"old")
    for attempt in (checkpoint.check_writable,
                    lambda path: checkpoint.write_file(path, lambda file: file.write(b"new"))):
        with pytest.raises(UserError) as caught:
            attempt(name)
        if attempt is checkpoint.check_writable:
            assert reason in str(caught.value) and "\n" not in str(caught.value)
    assert os.listdir() == ["file"] and contents("file") == b"old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_check_writable_respects_read_only_files_and_folders(tmp_path):
    os.chmod(put(tmp_path / "file", b"old"), 0o400)
    with pytest.raises(UserError, match="read-only"):
        checkpoint.check_writable(str(tmp_path / "file"))
    os.mkdir(tmp_path / "folder", 0o500)
    with pytest.raises(UserError, match="ermission"):
        checkpoint.check_writable(str(tmp_path / "folder" / "file"))


def test_check_writable_leaves_all_as_it_was(path, tmp_path):
    checkpoint.check_writable(path)
    assert os.listdir(tmp_path) == []
    checkpoint.check_writable(put(path, b"old"))
    assert os.listdir(tmp_path) == ["model.npz"] and contents(path) == b"old"


# Damaged and foreign files

def test_a_truncated_file_is_refused(saved):
    whole = contents(saved)
    for length in {*range(0, len(whole), 3), len(whole) - 1}:
        refused(put(saved, whole[:length]))


@pytest.mark.parametrize("flip", [0x01, 0xFF])
def test_a_flipped_byte_is_refused_or_changes_nothing(saved, flip):
    whole, caught = contents(saved), 0
    for place in range(flip // 0xFF, len(whole), 2):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        put(saved, damaged)
        try:
            parameters, state = checkpoint.load(saved)
        except UserError as error:
            assert "\n" not in str(error)
            caught += 1
        else:
            assert same(parameters, PARAMETERS) and state["config"] == STATE["config"]
    assert caught > len(whole) / 4                     # the rest are dates and the like


class Trap:
    """Unpickling it would call os.mkdir("sprung")."""

    def __reduce__(self):
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize("kind", ["npz", "npy", "pickle"])
def test_pickles_are_never_loaded(path, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    trap = np.array([Trap()], object)
    if kind == "npz":
        np.savez(path, trap=trap, **{"state/format_version": np.array(2)})
    elif kind == "npy":
        with open(path, "wb") as file:
            np.save(file, trap, allow_pickle=True)
    else:
        put(path, pickle.dumps({"trap": Trap()}))
    refused(path, "pickled" if kind == "npz" else "not a checkpoint")
    assert os.listdir(tmp_path) == ["model.npz"]


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def versioned(version=npy(np.array(2)), **members):
    return zipped(**{"state__format_version.npy": version, **members})


@pytest.mark.parametrize("data, fragment", [
    (b"", "not a checkpoint"),
    (b"the cat sat\n", "not a checkpoint"),
    (npy(np.zeros(3)), "not a checkpoint"),
    (zipped(), "not a checkpoint"),
    (zipped(note="hello"), "not a checkpoint"),
    (zipped(**{"weight.npy": npy(np.zeros(3))}), "not a checkpoint"),
    (zipped(**{"state__format_version": b"hello"}), "version"),
    (versioned(b"hello"), "version"),
    (versioned(npy(np.array([1, 1]))), "version"),
    (versioned(npy(np.array(1))), "format 1"),
    (versioned(**{"x.npy": npy(np.zeros(3))[:-1]}), "damaged"),
    (versioned(**{"x.npy": npy(np.zeros(3)).replace(b"(3,)", b"(3,(")}), "damaged"),
])
def test_other_files_are_refused(path, data, fragment):
    refused(put(path, data), fragment)


def test_files_that_cannot_be_read_are_refused(path, tmp_path):
    refused(path, "No such file")
    refused(str(tmp_path), "directory")
    refused(put(path, b"text") + "/model.npz", "Not a directory")


# Filling the arrays of a model

def arrays():
    return {"w": np.zeros((2, 3), np.float32), "t": np.array(0)}


ONES = np.ones((2, 3), np.float32)


def stored(**changed):
    return {"w": ONES, "t": np.array(5), **changed}


def test_fill_copies_into_the_arrays_themselves():
    ours, flat = arrays(), np.zeros(6, np.float32)
    ours["w"] = flat.reshape(2, 3)
    checkpoint.fill("model.npz", ours, stored())
    assert flat.tolist() == [1] * 6 and ours["t"] == 5


@pytest.mark.parametrize("other, fragment", [
    ({"w": ONES}, "t is missing"),
    (stored(extra=np.zeros(1)), "extra is one too many"),
    (stored(w=ONES.T), r"w is float32 \(3, 2\), wanted float32 \(2, 3\)"),
    (stored(w=ONES[:1]), r"\(1, 3\)"),
    (stored(w=np.ones((2, 3))), "float64"),
    (stored(t=np.array(5.0)), "float64"),
    (stored(w=ONES * np.float32(np.nan)), "not finite"),
    (stored(w=np.float32([[1, 1, 1], [1, np.inf, 1]])), "not finite"),
])
def test_fill_refuses_what_does_not_fit_and_changes_nothing(other, fragment):
    ours = arrays()
    with pytest.raises(UserError, match=fragment) as caught:
        checkpoint.fill("model.npz", ours, other)
    assert "model.npz" in str(caught.value)
    assert same(ours, arrays())
