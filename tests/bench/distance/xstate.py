"""Lets User-Mode Linux 6.1 run on processors with AMX, whose state is larger than it has room for.

It learns at its start whether ``ptrace`` tells of the extended state at all, and does with the
classic one where it does not.  So it is told that, by a filter on that one request, which the
process that becomes the guest sets up for itself.  What is beyond the classic state is then not
kept when the guest goes from one thread to another: programs in it must do without AVX.
"""

from __future__ import annotations

import ctypes
import errno
import struct

PTRACE, PTRACE_GETREGSET = 101, 0x4204  # of x86-64
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD | W | ABS, BPF_JMP | JEQ | K, BPF_RET | K
ALLOW, FAIL = 0x7FFF0000, 0x00050000 | errno.EIO
PROGRAM = (
    (LOAD, 0, 0, 0),  # the number of the call
    (EQUAL, 0, 3, PTRACE),
    (LOAD, 0, 0, 16),  # its first argument
    (EQUAL, 0, 1, PTRACE_GETREGSET),
    (RETURN, 0, 0, FAIL),
    (RETURN, 0, 0, ALLOW),
)

# For programs inside, so that they use no register that is not kept.
WITHOUT_AVX = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,"
    "-AVX_Fast_Unaligned_Load,-Prefer_No_VZEROUPPER,-ERMS",
    "OPENSSL_ia32cap": "0x02d8220b078bffff:0x0",  # AES and SSE4, no AVX
    "GNUTLS_CPUID_OVERRIDE": "0x7",  # AES, SSSE3 and PCLMUL
}


def hide() -> None:
    """Have this process, and what it becomes, hear that there is no extended state."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("HBBI", *one) for one in PROGRAM)
    kept = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(PROGRAM), ctypes.addressof(kept))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(program), 0, 0)
