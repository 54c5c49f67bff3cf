"""Opcodes, flags and structures are those of the kernel's header, as a compiler sees them.

Debian 12's header is of 7.38; what came later is compared with the numbers of fuse.h in Linux 6.18.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from smbfs.fuse.native import questions, replies, uapi
from smbfs.fuse.native.uapi import InitFlag, Notify, Opcode, OpenFlag, SetattrValid
from smbfs.wire.codec import Structure

HEADER = Path("/usr/include/linux/fuse.h")
LATER = {"STATX", "COPY_FILE_RANGE_64"}  # opcodes that an older header lacks
STRUCTURES: dict[
    type[Structure], tuple[str, int]
] = {  # ours: theirs, with how many bytes of it ours has (0 for all)
    questions.InHeader: ("fuse_in_header", 0),
    questions.InitIn: ("fuse_init_in", 16),
    questions.GetattrIn: ("fuse_getattr_in", 0),
    questions.SetattrIn: ("fuse_setattr_in", 0),
    questions.MknodIn: ("fuse_mknod_in", 0),
    questions.MkdirIn: ("fuse_mkdir_in", 0),
    questions.RenameIn: ("fuse_rename_in", 0),
    questions.Rename2In: ("fuse_rename2_in", 0),
    questions.LinkIn: ("fuse_link_in", 0),
    questions.OpenIn: ("fuse_open_in", 0),
    questions.CreateIn: ("fuse_create_in", 0),
    questions.ReadIn: ("fuse_read_in", 0),
    questions.WriteIn: ("fuse_write_in", 0),
    questions.ReleaseIn: ("fuse_release_in", 0),
    questions.FlushIn: ("fuse_flush_in", 0),
    questions.FsyncIn: ("fuse_fsync_in", 0),
    questions.SetxattrIn: ("fuse_setxattr_in", 8),  # the kernel sends so much without a flag
    questions.GetxattrIn: ("fuse_getxattr_in", 0),
    questions.AccessIn: ("fuse_access_in", 0),
    questions.ForgetIn: ("fuse_forget_in", 0),
    questions.BatchForgetIn: ("fuse_batch_forget_in", 0),
    questions.ForgetOne: ("fuse_forget_one", 0),
    questions.InterruptIn: ("fuse_interrupt_in", 0),
    questions.IoctlIn: ("fuse_ioctl_in", 0),
    questions.FallocateIn: ("fuse_fallocate_in", 0),
    questions.Fsxattr: ("fsxattr", 0),
    questions.LseekIn: ("fuse_lseek_in", 0),
    questions.CopyFileRangeIn: ("fuse_copy_file_range_in", 0),
    replies.OutHeader: ("fuse_out_header", 0),
    replies.InitOut: ("fuse_init_out", 0),
    replies.Attr: ("fuse_attr", 0),
    replies.StatfsOut: ("fuse_kstatfs", 0),
    replies.OpenOut: ("fuse_open_out", 0),
    replies.WriteOut: ("fuse_write_out", 0),
    replies.GetxattrOut: ("fuse_getxattr_out", 0),
    replies.LkOut: ("fuse_file_lock", 0),
    replies.IoctlOut: ("fuse_ioctl_out", 0),
    replies.LseekOut: ("fuse_lseek_out", 0),
    replies.Dirent: ("fuse_dirent", 0),
    replies.InvalInodeOut: ("fuse_notify_inval_inode_out", 0),
    replies.InvalEntryOut: ("fuse_notify_inval_entry_out", 0),
    replies.DeleteOut: ("fuse_notify_delete_out", 0),
    replies.StoreOut: ("fuse_notify_store_out", 0),
}
NOT_YET = {"DIRECT_IO_ALLOW_MMAP"}  # of 7.39
NEWER_FIELDS = {"max_stack_depth", "request_timeout", "backing_id"}
TRAILING = {"names", "data", "rest", "more"}


def compiled(tmp_path: Path, lines: list[str]) -> list[str]:
    """What a program prints that is made of these statements."""
    if shutil.which("cc") is None or not HEADER.exists():
        pytest.skip("needs cc and linux/fuse.h: packaging/bootstrap installs them")
    body = "\n".join(lines)
    source = tmp_path / "ask.c"
    source.write_text(
        "#include <stdio.h>\n#include <stddef.h>\n#include <linux/fuse.h>\n#include <linux/fs.h>\n"
        f"int main(void) {{\n{body}\nreturn 0; }}\n"
    )
    subprocess.run(["cc", "-o", tmp_path / "ask", source], check=True, timeout=60)
    done = subprocess.run([tmp_path / "ask"], check=True, capture_output=True, timeout=60)
    return done.stdout.decode().splitlines()


def test_the_numbers_are_the_kernel_s(tmp_path: Path) -> None:
    ours: dict[str, int] = {}
    ours |= {f"FUSE_{one.name}": one.value for one in Opcode if one.name not in LATER}
    ours |= {f"FUSE_NOTIFY_{one.name}": one.value for one in Notify}
    for cls, prefix in ((InitFlag, "FUSE_"), (OpenFlag, "FOPEN_"), (SetattrValid, "FATTR_")):
        ours |= {
            f"{prefix}{name}": value
            for name, value in vars(cls).items()
            if name.isupper() and name not in NOT_YET
        }
    ours |= {
        "FUSE_GETATTR_FH": uapi.GETATTR_FH,
        "FUSE_LK_FLOCK": uapi.LK_FLOCK,
        "FUSE_FSYNC_FDATASYNC": uapi.FSYNC_FDATASYNC,
        "FUSE_EXPIRE_ONLY": uapi.EXPIRE_ONLY,
        "FUSE_IOCTL_DIR": uapi.IOCTL_DIR,
        "FS_IOC_GETFLAGS": uapi.FS_IOC_GETFLAGS,
        "FS_IOC_SETFLAGS": uapi.FS_IOC_SETFLAGS,
        "FS_IOC32_GETFLAGS": uapi.FS_IOC32_GETFLAGS,
        "FS_IOC32_SETFLAGS": uapi.FS_IOC32_SETFLAGS,
        "FS_IOC_FSGETXATTR": uapi.FS_IOC_FSGETXATTR,
        "FS_IOC_FSSETXATTR": uapi.FS_IOC_FSSETXATTR,
        "FS_IMMUTABLE_FL": uapi.FS_IMMUTABLE_FL,
        "FS_XFLAG_IMMUTABLE": uapi.FS_XFLAG_IMMUTABLE,
        "FUSE_ROOT_ID": uapi.ROOT_ID,
    }
    lines = [f'printf("{name} %llu\\n", (unsigned long long){name});' for name in ours]
    said = dict(line.split() for line in compiled(tmp_path, lines))
    assert {name: int(value) for name, value in said.items()} == ours


def test_the_structures_are_the_kernel_s(tmp_path: Path) -> None:
    lines, expected = [], []
    for ours, (theirs, size) in STRUCTURES.items():
        at = f"(size_t){size}" if size else f"sizeof(struct {theirs})"
        lines.append(f'printf("{theirs} %zu\\n", {at});')
        expected.append(f"{theirs} {ours.FIXED}")
        for name in ours.__slots__:
            if name in TRAILING | NEWER_FIELDS:
                continue
            lines.append(f'printf("{theirs}.{name} %zu\\n", offsetof(struct {theirs}, {name}));')
            expected.append(f"{theirs}.{name} {offset(ours, name)}")
    assert compiled(tmp_path, lines) == expected


def offset(structure: type[Structure], name: str) -> int:
    """Where a field is, on a little-endian machine: found by setting it and no other."""
    made = structure.__new__(structure)
    for other in structure.__slots__:
        setattr(made, other, b"" if other in TRAILING else 0)
    setattr(made, name, 1)
    return bytes(made).index(1)


def test_composed_structures_have_the_kernel_s_size(tmp_path: Path) -> None:
    whole = {
        "fuse_entry_out": replies.EntryOut.FIXED + replies.Attr.FIXED,
        "fuse_attr_out": replies.AttrOut.FIXED + replies.Attr.FIXED,
        "fuse_direntplus": replies.EntryOut.FIXED + replies.Attr.FIXED + replies.Dirent.FIXED,
        "fuse_lk_in": questions.LkIn.FIXED,
        "fuse_lk_out": replies.LkOut.FIXED,
    }
    lines = [f'printf("%zu\\n", sizeof(struct {name}));' for name in whole]
    assert [int(line) for line in compiled(tmp_path, lines)] == list(whole.values())


def test_what_came_after_this_header_has_its_size_in_linux_6_18() -> None:
    times = 4 * replies.SxTime.FIXED
    statx = replies.Statx.FIXED + times + replies.StatxTail.FIXED
    assert replies.StatxOut.FIXED == 32
    assert statx == 256
    assert questions.StatxIn.FIXED == 24
    assert replies.CopyOut.FIXED == 8
    assert (Opcode.STATX, Opcode.COPY_FILE_RANGE_64) == (52, 53)
    assert InitFlag.DIRECT_IO_ALLOW_MMAP == 1 << 36
