"""Real programs on a real mount: what they say of it, and what is there afterwards."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest

from tests.mount.ground import Here, noise

PROGRAM_S = 30
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


def run(*words: str | Path, cwd: Path | None = None) -> str:
    """What a program prints; it must succeed and say nothing else."""
    done = subprocess.run(
        words,
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    assert done.stderr == "", f"{words}: {done.stderr}"
    return done.stdout


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below a directory: types, bytes, targets, and times to what SMB keeps of them."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        name, times = str(path.relative_to(root)), path.lstat().st_mtime_ns // 100
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("dir", times)
        else:
            found[name] = ("file", path.read_bytes(), times)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small tree with a bit of everything, on a local disk."""
    root = tmp_path / "source"
    (root / "sub" / "deeper").mkdir(parents=True)
    (root / "empty dir").mkdir()
    for number in range(12):
        (root / "sub" / f"file {number}").write_bytes(noise(number * 5_000, number))
    (root / "empty").touch()
    (root / "sub" / "deeper" / "a:b?.txt").write_text("a name that Windows cannot have\n")
    (root / "script").write_text("#!/bin/sh\necho hello\n")
    (root / "script").chmod(0o755)
    (root / "read-only").write_text("read only\n")
    (root / "read-only").chmod(0o444)
    (root / "link").symlink_to("sub/file 3")
    (root / "dangling").symlink_to("no/where")
    for number, path in enumerate(sorted(root.rglob("*"))):
        moment = 1_500_000_000_123_456_700 + number * 10**9
        os.utime(path, ns=(moment, moment), follow_symlinks=False)
    os.utime(root, ns=(10**18, 10**18))
    return root


def test_cp_in_and_out(here: Here, source: Path, tmp_path: Path) -> None:
    run("cp", "-a", source, here.path / "copy")
    assert tree(here.path / "copy") == tree(source)
    run("cp", "-a", here.path / "copy", tmp_path / "back")
    assert tree(tmp_path / "back") == tree(source)
    run("diff", "-r", "--no-dereference", source, here.other / "copy")
    run("cp", "-a", here.path / "copy", here.path / "twin")
    assert tree(here.path / "twin") == tree(source)
    run("rm", "-rf", here.path / "copy", here.path / "twin")
    assert os.listdir(here.behind) == []


def test_rsync_twice_copies_once(here: Here, source: Path) -> None:
    command = ["rsync", "-a", "--itemize-changes", f"{source}/", f"{here.path}/copy"]
    assert "file 7" in run(*command)
    assert tree(here.path / "copy") == tree(source)
    differing = [line for line in run(*command).splitlines() if line[1:2] == "f"]
    assert [line for line in differing if line[:5] != ".f..."] == []
    with (source / "sub" / "file 4").open("ab") as more:
        more.write(b"changed")
    sent = [line for line in run(*command).splitlines() if line.startswith(">")]
    assert [line.split(maxsplit=1)[1] for line in sent] == ["sub/file 4"]
    (source / "empty").unlink()
    run(*command, "--delete")
    run(*command, "--inplace", "--checksum")
    assert tree(here.path / "copy") == tree(source)


def test_tar_in_and_out(here: Here, source: Path, tmp_path: Path) -> None:
    run("tar", "-C", source, "--format=posix", "-cf", here.path / "one.tar", ".")
    (here.path / "out").mkdir()
    run("tar", "-C", here.path / "out", "-xf", here.path / "one.tar")
    assert tree(here.path / "out") == tree(source)
    run("tar", "-C", here.path / "out", "--format=posix", "-czf", tmp_path / "two.tar.gz", ".")
    (tmp_path / "back").mkdir()
    run("tar", "-C", tmp_path / "back", "-xf", tmp_path / "two.tar.gz")
    assert tree(tmp_path / "back") == tree(source)


def test_git(here: Here) -> None:
    repository = here.path / "repository"

    def git(*words: str, where: Path = repository) -> str:
        return run("git", "-c", "safe.directory=*", *words, cwd=where)

    repository.mkdir()
    git("init", "-q", "-b", "main")
    for number in range(30):
        (repository / f"dir{number % 3}").mkdir(exist_ok=True)
        (repository / f"dir{number % 3}" / f"file{number}").write_text(f"{number}\n" * number)
    git("add", ".")
    git("commit", "-q", "-m", "first")
    assert git("status", "--porcelain") == ""
    git("switch", "-q", "-c", "topic")
    (repository / "dir0" / "file0").write_text("changed")
    (repository / "dir1" / "file1").unlink()
    git("mv", "dir2/file2", "moved")
    git("commit", "-q", "-a", "-m", "second")
    git("switch", "-q", "main")
    git("merge", "-q", "topic")
    assert (repository / "dir0" / "file0").read_text() == "changed"
    git("gc", "-q")
    git("fsck", "--full", "--strict", "--no-progress")
    git("clone", "-q", "repository", "clone", where=here.path)
    assert git("status", "--porcelain", where=here.path / "clone") == ""
    assert git("log", "--format=%s", where=here.path / "clone").split() == ["second", "first"]
    time_passes(repository)
    assert git("status", "--porcelain") == ""


def time_passes(repository: Path) -> None:
    """Have git look at its files again as if it had never seen them."""
    (repository / ".git" / "index").unlink()
    run("git", "-c", "safe.directory=*", "reset", "-q", cwd=repository)


@pytest.mark.parametrize("journal", ["delete", "truncate", "persist"])
def test_sqlite(here: Here, journal: str) -> None:
    with sqlite3.connect(here.path / "db", timeout=5) as base:
        assert base.execute(f"pragma journal_mode={journal}").fetchone() == (journal,)
        base.execute("create table t (id integer primary key, value text)")
        base.executemany("insert into t (value) values (?)", [(f"v{n}" * 50,) for n in range(500)])
        base.commit()
        base.execute("update t set value = 'new' where id % 2")
        base.rollback()
        base.execute("delete from t where id > 250")
        base.commit()
    base.close()
    said = run("sqlite3", here.path / "db", "pragma integrity_check; select count(*) from t;")
    assert said.split() == ["ok", "250"]
    run("sqlite3", here.path / "db", "vacuum;")
    assert run("sqlite3", here.behind / "db", "pragma integrity_check;").split() == ["ok"]


@pytest.mark.parametrize("direct", [0, 1])
def test_fio_verifies_what_it_wrote(here: Here, direct: int) -> None:
    run(
        "fio",
        "--name=verify",
        f"--directory={here.path}",
        "--rw=randwrite",
        "--bsrange=512-64k",
        "--blockalign=512",
        "--size=6m",
        f"--direct={direct}",
        "--ioengine=psync",
        "--verify=crc32c",
        "--verify_fatal=1",
        "--do_verify=1",
        "--fsync=64",
        "--fallocate=none",
        "--numjobs=2",
        "--group_reporting",
        "--output=/dev/null",
        "--verify_state_save=0",
    )


def test_find_du_and_grep(here: Here, source: Path) -> None:
    shutil.copytree(source, here.path / "copy", symlinks=True)
    found = run("find", here.path / "copy", "-type", "f", "-printf", "%P\n").splitlines()
    assert sorted(found) == sorted(name for name, what in tree(source).items() if what[0] == "file")
    assert run("find", here.path / "copy", "-type", "l", "-printf", "%f ").split()
    assert int(run("du", "-sb", "--apparent-size", here.path / "copy").split()[0]) > 330_000
    assert int(run("du", "-sk", here.path / "copy").split()[0]) >= 330
    assert run("grep", "-rl", "Windows cannot", here.path / "copy").endswith("a:b?.txt\n")
    assert run("sh", here.path / "copy" / "script") == "hello\n"
    assert run(here.path / "copy" / "script") == "hello\n"


def test_pythons_own_tools(here: Here, source: Path) -> None:
    shutil.make_archive(str(here.path / "archive"), "zip", source / "sub")
    with zipfile.ZipFile(here.path / "archive.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(here.path / "out")
    assert (here.path / "out" / "file 11").read_bytes() == noise(55_000, 11)
    with zipfile.ZipFile(here.path / "archive.zip", "a") as archive:
        archive.writestr("more", "appended")
    with tempfile.NamedTemporaryFile(dir=here.path) as file:
        file.write(b"x")
        file.flush()
        assert Path(file.name).read_bytes() == b"x"
    with tempfile.TemporaryFile(dir=here.path) as nameless:
        nameless.write(b"no name at all")
        nameless.seek(3)
        assert nameless.read() == b"name at all"
    with tempfile.TemporaryDirectory(dir=here.path) as directory:
        (Path(directory) / "file").touch()
    shutil.move(here.path / "out", here.path / "moved")
    shutil.rmtree(here.path / "moved")
    assert os.listdir(here.path) == ["archive.zip"]


def test_saving_as_editors_do(here: Here) -> None:
    file, swap = here.path / "notes.txt", here.path / ".notes.txt.swp"
    file.write_text("version 0\n")
    for number in range(1, 4):
        lock = os.open(swap, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(lock, b"b0VIM")
        os.fsync(lock)
        backup = here.path / "notes.txt~"
        os.rename(file, backup)
        with file.open("x") as new:
            new.write(f"version {number}\n")
            new.flush()
            os.fsync(new.fileno())
        os.chmod(file, 0o644)
        os.unlink(backup)
        os.close(lock)
        os.unlink(swap)
        assert (here.behind / "notes.txt").read_text() == f"version {number}\n"
    assert os.listdir(here.path) == os.listdir(here.behind) == ["notes.txt"]


def test_sed_and_install(here: Here) -> None:
    (here.path / "file").write_text("one two\n")
    run("sed", "-i", "s/two/three/", here.path / "file")
    assert (here.path / "file").read_text() == "one three\n"
    run("sed", "-i.bak", "s/one/1/", here.path / "file")
    run("install", "-m", "755", "-D", here.path / "file", here.path / "bin" / "tool")
    run("mv", here.path / "file.bak", here.path / "bin")
    run("touch", "-d", "2001-02-03 04:05:06.789", here.path / "file")
    assert run("stat", "-c", "%y", here.path / "file").startswith("2001-02-03 04:05:06.789000000")
    run("dd", f"if={here.path}/bin/tool", f"of={here.path}/dd", "bs=3", "conv=fsync", "status=none")
    assert (here.path / "dd").read_text() == "1 three\n"
    run("truncate", "-s", "5", here.path / "dd")
    assert run("ls", here.path / "bin").split() == ["file.bak", "tool"]
    assert "//127.0.0.1/share" in run("df", here.path)
