"""Save and load: an .npz without pickles, written whole or not at all.

Parameters stand under the names that PyTorch's `state_dict` gives them; all else that a
continuation needs is prefixed `state/`.
"""

import io
import os
import zipfile

import numpy as np

from minijepa.options import UserError

FORMAT_VERSION = 1


def is_device(path):
    """Whether the path is there, but is no ordinary file to be replaced: /dev/stdout, a pipe."""
    return os.path.exists(path) and not os.path.isfile(path)


def write_file(path, write):
    """Call write(file) on a temporary file beside path, then rename it: never half a file.

    A device is written to as it is. Raises UserError.
    """
    direct = is_device(path)
    path = path if direct else os.path.realpath(path)  # a link stays a link
    part = path if direct else f"{path}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            write(file)
        if not direct:
            os.replace(part, path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None
    finally:
        if not direct and os.path.lexists(part):
            os.remove(part)


def check_writable(path):
    """Raise UserError now if write_file(path) would fail later: before training, not after."""
    device, path = is_device(path), os.path.realpath(path)
    if os.path.isdir(path):
        raise UserError(f"cannot write {path}: it is a folder; name a file")
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise UserError(f"cannot write {path}: it is read-only")
    if device:
        return
    if not os.path.isdir(os.path.dirname(path)):
        raise UserError(f"cannot write {path}: its folder does not exist")
    probe = f"{path}.{os.getpid()}.part"
    try:
        open(probe, "wb").close()
        os.remove(probe)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None


def save(path, parameters, state):
    """Write parameters {name: array} and state {name: array or string}; strings as string arrays."""
    arrays = {f"state/{name}": np.asarray(value) for name, value in state.items()}
    arrays["state/format_version"] = np.array(FORMAT_VERSION)
    whole = io.BytesIO()                               # savez itself is noisy where the disk is full
    np.savez(whole, **parameters, **arrays)
    write_file(path, lambda file: file.write(whole.getbuffer()))


def load(path):
    """-> parameters {name: array}, state {name: array}. Raises UserError for any other file."""
    try:
        if os.path.isfile(path) and not zipfile.is_zipfile(path):
            raise UserError(f"{path} is not a checkpoint, or is truncated: wanted a .npz that --save wrote")
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            if "state/format_version" not in archive.files:
                raise UserError(f"{path} is not a checkpoint: wanted a .npz that --save wrote")
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:                         # the readers below raise a dozen kinds
        reason = "it contains pickled objects" if "allow_pickle" in str(error) else "it is damaged"
        raise UserError(f"cannot read {path}: {reason}, and is not loaded") from None
    version = arrays.pop("state/format_version")
    if version.shape != () or version != FORMAT_VERSION:
        raise UserError(f"{path} has checkpoint format {version}; this version reads {FORMAT_VERSION}")
    state = {name[len("state/"):]: arrays.pop(name) for name in list(arrays) if name.startswith("state/")}
    return arrays, state


def under(state, prefix):
    """The part of the state below a prefix, without it."""
    return {name[len(prefix):]: value for name, value in state.items() if name.startswith(prefix)}


def fill(path, arrays, stored):
    """Copy the stored arrays into those of the same names, all of which must fit. Raises UserError."""
    for name in arrays.keys() | stored.keys():
        if name not in stored or name not in arrays:
            raise UserError(f"{path} does not fit its configuration: {name} is "
                            f"{'missing' if name in arrays else 'one too many'}")
        wanted, found = arrays[name], stored[name]
        if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            raise UserError(f"{path} does not fit its configuration: {name} is {found.dtype} {found.shape}, "
                            f"wanted {wanted.dtype} {wanted.shape}")
        if not np.isfinite(found).all():
            raise UserError(f"{path} is damaged, and is not loaded: {name} is not finite")
    for name, array in arrays.items():
        array[...] = stored[name]
