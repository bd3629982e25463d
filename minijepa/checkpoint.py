"""Save and load: an .npz without pickles, written whole or not at all.

Parameters stand under the names that PyTorch's `state_dict` gives them; all else that a
continuation needs is prefixed `state/`.
"""

import contextlib
import glob
import io
import os
import stat
import tempfile
import zipfile

import numpy as np

from minijepa.options import UserError

FORMAT_VERSION = 2
os.umask(UMASK := os.umask(0))                         # it can only be read by setting it
MODE = 0o666 & ~UMASK                                  # of a new file


def is_device(path):
    """Whether the path is there, but is no ordinary file to be replaced: /dev/stdout, a pipe."""
    return os.path.exists(path) and not os.path.isfile(path)


def write_file(path, write):
    """Call write(file) on a temporary file beside path, then rename it: never half a file.

    A device is written to as it is. Raises UserError.
    """
    try:
        if is_device(path):
            with open(path, "wb") as file:
                write(file)
        else:
            target = os.path.realpath(path)            # a link stays a link
            for left_by_a_killed_run in glob.glob(f"{glob.escape(target)}.????????.part"):
                with contextlib.suppress(OSError):     # it is a folder, or somebody else's
                    os.remove(left_by_a_killed_run)
            replace(target, write)
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from None


def replace(path, write):
    """Write a new file in the same folder, with the old one's mode, and put it in its place."""
    handle, part = new_part(path)
    try:
        with open(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(handle)
        mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else MODE
        with contextlib.suppress(OSError):             # not every file system has modes
            os.chmod(part, mode)
        try:
            os.replace(part, path)
        except FileNotFoundError:                      # a save of the same file, meanwhile, took
            replace(path, write)                       # it for what a killed run had left
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)
    with contextlib.suppress(OSError):                 # the new name, too, survives a power cut
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def new_part(path):
    """A file beside path that nobody else can have named: (handle, name)."""
    return tempfile.mkstemp(".part", f"{os.path.basename(path)}.", os.path.dirname(path))


def check_writable(path):
    """Raise UserError now if write_file(path) would fail later: before training, not after."""
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise UserError(f"cannot write {path}: it is a folder; name a file")
    if os.path.exists(target) and stat.S_ISSOCK(os.stat(target).st_mode):
        raise UserError(f"cannot write {path}: it is a socket; name a file")
    if os.path.exists(target) and not os.access(target, os.W_OK):
        raise UserError(f"cannot write {path}: it is read-only")
    if is_device(path):
        return
    if not os.path.isdir(os.path.dirname(target)):
        raise UserError(f"cannot write {path}: its folder does not exist")
    try:
        handle, part = new_part(target)
        os.close(handle)
        os.remove(part)
    except (OSError, ValueError) as error:
        raise cannot_write(path, error) from None


def cannot_write(path, error):
    return UserError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}")


def save(path, parameters, state):
    """Write parameters {name: array} and state {name: array or string}, strings as arrays too."""
    arrays = {f"state/{name}": np.asarray(value) for name, value in state.items()}
    arrays["state/format_version"] = np.array(FORMAT_VERSION)
    whole = io.BytesIO()                               # savez is noisy where the disk is full
    np.savez(whole, **parameters, **arrays)
    write_file(path, lambda file: file.write(whole.getbuffer()))


def load(path):
    """-> parameters {name: array}, state {name: array}. Raises UserError for any other file."""
    wanted = "wanted a .npz that --save wrote"
    try:
        if os.path.isfile(path) and not zipfile.is_zipfile(path) or (
                is_device(path) and not os.path.isdir(path)):
            raise UserError(f"{path} is not a checkpoint, or is truncated: {wanted}")
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            if "state/format_version" not in archive.files:
                raise UserError(f"{path} is not a checkpoint: {wanted}")
            members = archive.zip.infolist()
            if any(member.compress_type for member in members) or (
                    sum(member.file_size for member in members) > os.path.getsize(path)):
                raise UserError(f"{path} is compressed, or unpacks to more than it is: {wanted}")
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:                         # the readers below raise a dozen kinds
        pickled = "allow_pickle" in str(error)
        reason = "it contains pickled objects" if pickled else "it is damaged"
        raise UserError(f"cannot read {path}: {reason}, and is not loaded") from None
    version = arrays.pop("state/format_version")
    if version.shape != () or version.dtype.kind not in "iu" or version != FORMAT_VERSION:
        raise UserError(f"{path} has checkpoint format {version}; "
                        f"this version reads {FORMAT_VERSION}")
    parameters = {name: x for name, x in arrays.items() if not name.startswith("state/")}
    return parameters, under(arrays, "state/")


def under(state, prefix):
    """The part of the state below a prefix, without it."""
    return {name[len(prefix):]: value for name, value in state.items() if name.startswith(prefix)}


def fill(path, arrays, stored):
    """Copy the stored arrays into those of the same names; all must fit. Raises UserError."""
    for name in arrays.keys() | stored.keys():
        if name not in stored or name not in arrays:
            raise UserError(f"{path} does not fit its configuration: {name} is "
                            f"{'missing' if name in arrays else 'one too many'}")
        wanted, found = arrays[name], stored[name]
        if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            raise UserError(f"{path} does not fit its configuration: {name} is {found.dtype} "
                            f"{found.shape}, wanted {wanted.dtype} {wanted.shape}")
        if not np.isfinite(found).all():
            raise UserError(f"{path} is damaged, and is not loaded: {name} is not finite")
    for name, array in arrays.items():
        array[...] = stored[name]
