"""The whole table of statuses, and what is made of a code that is not in it."""

import errno
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.wire.status import SENTENCES, Status

# What a program must never be told: the kernel stops asking (ENOSYS), nobody interrupted (EINTR),
# a file has no connection, and the rest blames the program for what it did not do.
LIES = {"ENOSYS", "EINTR", "ECONNRESET", "ECONNREFUSED", "ENOMEM", "EBADF", "EFAULT", "ENOTCONN"}


@pytest.mark.parametrize("status", Status, ids=lambda status: status.name)
def test_every_row(status: Status) -> None:
    assert 0 <= status <= 0xFFFFFFFF
    assert Status(int(status)) is status
    assert status.name == status.name.upper()
    assert status.errno == 0 if status == Status.SUCCESS else status.errno in errno.errorcode
    assert errno.errorcode.get(status.errno) not in LIES
    assert status.is_error == (status >= 0xC0000000)
    assert status.is_warning == (0x80000000 <= status < 0xC0000000)


def test_no_code_has_two_names() -> None:
    assert len(Status.__members__) == len(list(Status)) > 150


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("OBJECT_NAME_NOT_FOUND", 0xC0000034, errno.ENOENT),
        ("OBJECT_PATH_NOT_FOUND", 0xC000003A, errno.ENOENT),
        ("NO_SUCH_FILE", 0xC000000F, errno.ENOENT),
        ("DELETE_PENDING", 0xC0000056, errno.ENOENT),
        ("OBJECT_NAME_COLLISION", 0xC0000035, errno.EEXIST),
        ("DIRECTORY_NOT_EMPTY", 0xC0000101, errno.ENOTEMPTY),
        ("DISK_FULL", 0xC000007F, errno.ENOSPC),
        ("QUOTA_EXCEEDED", 0xC0000044, errno.EDQUOT),
        ("ACCESS_DENIED", 0xC0000022, errno.EACCES),
        ("SHARING_VIOLATION", 0xC0000043, errno.EBUSY),
        ("CANNOT_DELETE", 0xC0000121, errno.EACCES),
        ("NOT_SAME_DEVICE", 0xC00000D4, errno.EXDEV),
        ("TOO_MANY_LINKS", 0xC0000265, errno.EMLINK),
        ("FILE_IS_A_DIRECTORY", 0xC00000BA, errno.EISDIR),
        ("NOT_A_DIRECTORY", 0xC0000103, errno.ENOTDIR),
        ("OBJECT_NAME_INVALID", 0xC0000033, errno.EINVAL),
        ("NAME_TOO_LONG", 0xC0000106, errno.ENAMETOOLONG),
        ("MEDIA_WRITE_PROTECTED", 0xC00000A2, errno.EROFS),
        ("NOT_SUPPORTED", 0xC00000BB, errno.EOPNOTSUPP),
        ("INVALID_INFO_CLASS", 0xC0000003, errno.EOPNOTSUPP),
        ("INVALID_DEVICE_REQUEST", 0xC0000010, errno.EOPNOTSUPP),
        ("FILE_LOCK_CONFLICT", 0xC0000054, errno.EACCES),
        ("LOCK_NOT_GRANTED", 0xC0000055, errno.EAGAIN),
        ("IO_TIMEOUT", 0xC00000B5, errno.ETIMEDOUT),
        ("INSUFFICIENT_RESOURCES", 0xC000009A, errno.EIO),
        ("NETWORK_NAME_DELETED", 0xC00000C9, errno.EIO),
        ("USER_SESSION_DELETED", 0xC0000203, errno.EIO),
        ("NETWORK_SESSION_EXPIRED", 0xC000035C, errno.EIO),
        ("FILE_CLOSED", 0xC0000128, errno.ESTALE),
        ("NO_EAS_ON_FILE", 0xC0000052, errno.ENODATA),
        ("NOT_A_REPARSE_POINT", 0xC0000275, errno.EINVAL),
        ("BAD_NETWORK_NAME", 0xC00000CC, errno.ENOENT),
        ("LOGON_FAILURE", 0xC000006D, errno.EACCES),
        ("STOPPED_ON_SYMLINK", 0x8000002D, errno.EOPNOTSUPP),
        ("BUFFER_OVERFLOW", 0x80000005, errno.EIO),
        ("NO_MORE_FILES", 0x80000006, errno.EIO),
        ("PENDING", 0x00000103, errno.EIO),
        ("MORE_PROCESSING_REQUIRED", 0xC0000016, errno.EIO),
        ("END_OF_FILE", 0xC0000011, errno.EIO),
        ("PATH_NOT_COVERED", 0xC0000257, errno.EREMOTE),
        ("FILE_NOT_AVAILABLE", 0xC0000467, errno.EIO),
        ("REQUEST_NOT_ACCEPTED", 0xC00000D0, errno.EIO),
        ("DUPLICATE_OBJECTID", 0xC000022A, errno.EEXIST),
        ("INVALID_HANDLE", 0xC0000008, errno.ESTALE),
        ("INVALID_PARAMETER", 0xC000000D, errno.EINVAL),
        ("FS_DRIVER_REQUIRED", 0xC000019C, errno.EOPNOTSUPP),
    ],
)
def test_the_ones_that_matter(name: str, code: int, expected: int) -> None:
    assert Status[name] == code
    assert Status[name].errno == expected


@given(st.integers(0, 0xFFFFFFFF))
def test_any_code_is_a_value(code: int) -> None:
    status = Status(code)
    assert status == code
    assert hash(status) == hash(code)
    assert isinstance(status.errno, int)
    assert Status(status) == status


def test_an_unknown_code_shows_itself() -> None:
    status = Status(0xC0FFEE11)
    assert status.name == "0xC0FFEE11"
    assert status.errno == errno.EIO
    assert status.is_error
    assert not status.is_warning
    assert status not in list(Status)
    assert pickle.loads(pickle.dumps(status)) == status


@pytest.mark.parametrize("code", [-1, 1 << 32, "LOGON_FAILURE", None])
def test_what_is_no_code(code: Any) -> None:
    with pytest.raises(ValueError, match="is not a valid Status"):
        Status(code)


@pytest.mark.parametrize("status", SENTENCES, ids=lambda status: status.name)
def test_sentences_are_sentences(status: Status) -> None:
    sentence = SENTENCES[status]
    assert status in Status.__members__.values()
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert "  " not in sentence
    assert 15 < len(sentence) < 200


@pytest.mark.parametrize(
    "name",
    [
        "LOGON_FAILURE",
        "BAD_NETWORK_NAME",
        "ACCESS_DENIED",
        "ACCOUNT_LOCKED_OUT",
        "PASSWORD_EXPIRED",
        "ACCOUNT_DISABLED",
        "PASSWORD_MUST_CHANGE",
        "NO_LOGON_SERVERS",
        "NOT_SUPPORTED",
    ],
)
def test_who_mounts_is_told(name: str) -> None:
    assert Status[name] in SENTENCES
