"""Files are written whole or not at all, and what is read is a regular file of bounded size."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from refimpl import DataError
from refimpl.atomic import append_line, make_folder, read_bytes, remove_temporaries, write_bytes, write_text


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o002])
def test_the_users_umask_decides_who_may_read(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "file", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


def test_what_is_written_is_read_and_nothing_else_remains(tmp_path):
    write_bytes(tmp_path / "file", b"old")
    write_text(tmp_path / "file", "né")
    append_line(tmp_path / "file", "w")
    assert read_bytes(tmp_path / "file", 5) == "néw\n".encode()
    assert names(tmp_path) == {"file"}


@pytest.mark.parametrize("write", [write_bytes, append_line])
def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch, write):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    content = b"new" if write is write_bytes else "new"
    with pytest.raises(DataError, match=rf"^{tmp_path}/file cannot be written: No space left on device$"):
        write(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes().startswith(b"old")
    assert names(tmp_path) == {"file"}


def test_a_disk_too_full_for_a_temporary_file_is_named_though_there_is_none_to_remove(tmp_path, monkeypatch):
    def full(path, mode):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DataError, match=rf"^{tmp_path}/file cannot be written: No space left on device$"):
        write_bytes(tmp_path / "file", b"new")


def test_a_temporary_file_that_another_process_removes_first_is_no_error(tmp_path, monkeypatch):
    (tmp_path / ".file.0123456789abcdef.tmp").touch()
    monkeypatch.setattr(Path, "is_file", lambda path: path.unlink() is None)
    remove_temporaries(tmp_path)
    assert not names(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_device_that_is_full_is_named():
    with pytest.raises(DataError, match=r"^/dev/full cannot be written: No space left on device$"):
        append_line(Path("/dev/full"), "line")


def test_a_folder_that_is_not_there_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(DataError, match=r"nowhere/file cannot be written: No such file or directory$"):
        write_bytes(tmp_path / "nowhere" / "file", b"")


def test_a_killed_process_leaves_the_old_file_and_a_temporary_that_can_be_removed(tmp_path):
    code = "import os, signal, sys; from pathlib import Path; from refimpl.atomic import write_bytes\n"
    code += "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
    code += "write_bytes(Path(sys.argv[1]), b'new')"
    file = tmp_path / "config.toml"
    file.write_bytes(b"old")
    assert subprocess.run([sys.executable, "-c", code, str(file)]).returncode == -signal.SIGKILL
    (temporary,) = names(tmp_path) - {"config.toml"}
    assert temporary.startswith(".config.toml.")
    others = (".lock", ".hidden.tmp", "notes.tmp", ".folder.0123456789abcdef.tmp")
    for name in others[:-1]:
        (tmp_path / name).write_text("mine")
    (tmp_path / others[-1]).mkdir()
    remove_temporaries(tmp_path)
    assert names(tmp_path) == {"config.toml", *others}
    assert file.read_bytes() == b"old"


def test_a_file_may_be_as_large_as_the_limit_and_no_larger(tmp_path):
    (tmp_path / "file").write_bytes(bytes(100))
    assert read_bytes(tmp_path / "file", 100) == bytes(100)
    with pytest.raises(DataError, match="file cannot be read: it is larger than 99 bytes"):
        read_bytes(tmp_path / "file", 99)


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(DataError, match=f"^{re.escape(str(path))} cannot be read: it is not a regular file$"):
            read_bytes(path, 10)
    with pytest.raises(DataError, match=r"nothing cannot be read: No such file or directory$"):
        read_bytes(tmp_path / "nothing", 10)


def test_what_goes_to_the_disk_is_whole(tmp_path, monkeypatch):
    """What a power cut would leave: at the moment of the call that waits for the disk nothing is in a buffer."""
    there = []
    monkeypatch.setattr(os, "fsync", lambda _: there.append([path.read_bytes() for path in tmp_path.iterdir()]))
    write_bytes(tmp_path / "file", b"content")
    append_line(tmp_path / "file", "line")
    assert there == [[b"content"], [b"contentline\n"]]


def test_a_folder_is_made_where_there_is_none(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "outer" / "folder")
        assert (tmp_path / "outer" / "folder").is_dir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(DataError, match=f"{path} cannot be made"):
            make_folder(path)
