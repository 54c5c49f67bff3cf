"""NTSTATUS: the codes this client may meet, what errno each becomes, and what a user is told.

One row per code, from [MS-ERREF] 2.3.1.  It knows numbers and words only; which statuses are
answers and not errors is decided by whoever asks.  Rules easily broken: an errno here reaches
programs, so it must say something about the *file*: never ENOSYS (the kernel then stops asking
for the whole mount), never EINTR (nobody interrupted), never ECONNRESET (a file has no connection).
It is what cifs.ko users expect, unless the row says why not; where nothing fits, EIO.
"""

from __future__ import annotations

from enum import IntEnum
from errno import (
    EACCES,
    EAGAIN,
    EBUSY,
    EDEADLK,
    EDQUOT,
    EEXIST,
    EFBIG,
    EHOSTDOWN,
    EHOSTUNREACH,
    EILSEQ,
    EINVAL,
    EIO,
    EISDIR,
    EKEYEXPIRED,
    ELOOP,
    EMLINK,
    ENAMETOOLONG,
    ENETUNREACH,
    ENFILE,
    ENODATA,
    ENODEV,
    ENOENT,
    ENOMEDIUM,
    ENOSPC,
    ENOTDIR,
    ENOTEMPTY,
    EOPNOTSUPP,
    EPERM,
    EPIPE,
    EREMOTE,
    EROFS,
    ESTALE,
    ETIMEDOUT,
    EUSERS,
    EXDEV,
)

ERROR, WARNING = 3, 2  # severities: the two highest bits of a code


class Status(IntEnum):
    """An NTSTATUS, each with the errno it becomes; EIO where none is given."""

    errno: int

    def __new__(cls, code: int, errno: int = EIO) -> Status:
        self = int.__new__(cls, code)
        self._value_, self.errno = code, errno
        return self

    @classmethod
    def _missing_(cls, code: object) -> Status | None:  # an unknown code is a value as well
        if not isinstance(code, int) or not 0 <= code <= 0xFFFFFFFF:
            return None
        self = int.__new__(cls, code)
        self._value_, self._name_, self.errno = code, f"0x{code:08X}", EIO
        return self

    @property
    def is_error(self) -> bool:
        """The request failed ([MS-ERREF] 2.3: severity 3)."""
        return self >> 30 == ERROR

    @property
    def is_warning(self) -> bool:
        """Something was left out, but there may be data (severity 2)."""
        return self >> 30 == WARNING

    # Successes and what only informs.
    SUCCESS = 0x00000000, 0
    NOTIFY_CLEANUP = 0x0000010B
    NOTIFY_ENUM_DIR = 0x0000010C
    PENDING = 0x00000103
    REPARSE = 0x00000104
    # Warnings; some come with data (BUFFER_OVERFLOW) and are answers to their request.
    BUFFER_OVERFLOW = 0x80000005
    NO_MORE_FILES = 0x80000006
    DEVICE_BUSY = 0x80000011, EBUSY
    NO_MORE_EAS = 0x80000012, ENODATA
    INVALID_EA_NAME = 0x80000013, EINVAL
    EA_LIST_INCONSISTENT = 0x80000014, EINVAL
    INVALID_EA_FLAG = 0x80000015, EINVAL
    NO_MORE_ENTRIES = 0x8000001A
    STOPPED_ON_SYMLINK = 0x8000002D, EOPNOTSUPP  # the vfs resolves it; nobody above should see it
    # What was asked for is wrong, or unknown to this server.
    UNSUCCESSFUL = 0xC0000001
    # never ENOSYS: the kernel remembers that for the whole mount
    NOT_IMPLEMENTED = 0xC0000002, EOPNOTSUPP
    INVALID_INFO_CLASS = 0xC0000003, EOPNOTSUPP
    INFO_LENGTH_MISMATCH = 0xC0000004, EINVAL
    INVALID_PARAMETER = 0xC000000D, EINVAL
    INVALID_VIEW_SIZE = 0xC000001F, EINVAL  # a copy from behind the end of its source
    INVALID_DEVICE_REQUEST = 0xC0000010, EOPNOTSUPP
    NOT_SUPPORTED = 0xC00000BB, EOPNOTSUPP
    INVALID_LEVEL = 0xC0000148, EOPNOTSUPP
    FS_DRIVER_REQUIRED = 0xC000019C, EOPNOTSUPP
    INVALID_USER_BUFFER = 0xC00000E8, EINVAL
    BUFFER_TOO_SMALL = 0xC0000023
    ILLEGAL_FUNCTION = 0xC00000AF, EOPNOTSUPP
    INVALID_PARAMETER_MIX = 0xC0000030, EINVAL
    INVALID_BLOCK_LENGTH = 0xC0000173, EINVAL
    VOLUME_NOT_UPGRADED = 0xC000029C, EOPNOTSUPP
    NOT_FOUND = 0xC0000225, ENOENT
    BAD_DEVICE_TYPE = 0xC00000CB, EOPNOTSUPP
    # Names and paths.
    NO_SUCH_FILE = 0xC000000F, ENOENT
    OBJECT_NAME_INVALID = 0xC0000033, EINVAL
    OBJECT_NAME_NOT_FOUND = 0xC0000034, ENOENT
    OBJECT_NAME_COLLISION = 0xC0000035, EEXIST
    OBJECT_PATH_INVALID = 0xC0000039, ENOTDIR
    OBJECT_PATH_NOT_FOUND = 0xC000003A, ENOENT
    OBJECT_PATH_SYNTAX_BAD = 0xC000003B, EINVAL
    OBJECT_TYPE_MISMATCH = 0xC0000024, EINVAL
    NAME_TOO_LONG = 0xC0000106, ENAMETOOLONG
    FILE_IS_A_DIRECTORY = 0xC00000BA, EISDIR
    NOT_A_DIRECTORY = 0xC0000103, ENOTDIR
    DIRECTORY_NOT_EMPTY = 0xC0000101, ENOTEMPTY
    NOT_SAME_DEVICE = 0xC00000D4, EXDEV
    TOO_MANY_LINKS = 0xC0000265, EMLINK
    FILE_RENAMED = 0xC00000D5, ENOENT
    FILE_DELETED = 0xC0000123, ENOENT
    # POSIX callers removed it; that an open keeps it alive is not their concern
    DELETE_PENDING = 0xC0000056, ENOENT
    PATH_NOT_COVERED = 0xC0000257, EREMOTE  # DFS: it lives on another server
    DFS_UNAVAILABLE = 0xC000026D, EHOSTUNREACH
    UNMAPPABLE_CHARACTER = 0xC0000162, EILSEQ
    ILLEGAL_CHARACTER = 0xC0000161, EILSEQ
    OBJECTID_NOT_FOUND = 0xC00002F0, ENODATA
    DUPLICATE_OBJECTID = 0xC000022A, EEXIST
    OBJECTID_EXISTS = 0xC000022B, EEXIST
    NOT_A_REPARSE_POINT = 0xC0000275, EINVAL  # as readlink(2) says of what is no link
    IO_REPARSE_TAG_INVALID = 0xC0000276, EINVAL
    IO_REPARSE_TAG_MISMATCH = 0xC0000277, EINVAL
    IO_REPARSE_DATA_INVALID = 0xC0000278, EINVAL
    IO_REPARSE_TAG_NOT_HANDLED = 0xC0000279, EOPNOTSUPP
    REPARSE_POINT_NOT_RESOLVED = 0xC0000280, ELOOP
    DIRECTORY_IS_A_REPARSE_POINT = 0xC0000281, ENOTEMPTY
    # Rights, and who we are.
    ACCESS_DENIED = 0xC0000022, EACCES
    INVALID_OWNER = 0xC000005A, EPERM
    INVALID_PRIMARY_GROUP = 0xC000005B, EPERM
    PRIVILEGE_NOT_HELD = 0xC0000061, EPERM
    INVALID_ACL = 0xC0000077, EINVAL
    INVALID_SID = 0xC0000078, EINVAL
    INVALID_SECURITY_DESCR = 0xC0000079, EINVAL
    NO_SECURITY_ON_OBJECT = 0xC00000D7, EOPNOTSUPP
    NONE_MAPPED = 0xC0000073, EINVAL
    CANNOT_DELETE = 0xC0000121, EACCES
    NETWORK_ACCESS_DENIED = 0xC00000CA, EACCES
    WRONG_PASSWORD = 0xC000006A, EACCES
    ILL_FORMED_PASSWORD = 0xC000006B, EACCES
    PASSWORD_RESTRICTION = 0xC000006C, EACCES
    LOGON_FAILURE = 0xC000006D, EACCES
    ACCOUNT_RESTRICTION = 0xC000006E, EACCES
    INVALID_LOGON_HOURS = 0xC000006F, EACCES
    INVALID_WORKSTATION = 0xC0000070, EACCES
    PASSWORD_EXPIRED = 0xC0000071, EKEYEXPIRED
    ACCOUNT_DISABLED = 0xC0000072, EACCES
    ACCOUNT_EXPIRED = 0xC0000193, EACCES
    ACCOUNT_LOCKED_OUT = 0xC0000234, EACCES
    PASSWORD_MUST_CHANGE = 0xC0000224, EKEYEXPIRED
    NO_SUCH_USER = 0xC0000064, EACCES
    NO_SUCH_DOMAIN = 0xC00000DF, EACCES
    NO_LOGON_SERVERS = 0xC000005E, EACCES
    NO_SUCH_LOGON_SESSION = 0xC000005F, EACCES
    LOGON_NOT_GRANTED = 0xC0000155, EACCES
    LOGON_TYPE_NOT_GRANTED = 0xC000015B, EACCES
    NOLOGON_WORKSTATION_TRUST_ACCOUNT = 0xC0000199, EACCES
    NOLOGON_SERVER_TRUST_ACCOUNT = 0xC000019A, EACCES
    NOLOGON_INTERDOMAIN_TRUST_ACCOUNT = 0xC0000198, EACCES
    TRUSTED_RELATIONSHIP_FAILURE = 0xC000018D, EACCES
    TRUSTED_DOMAIN_FAILURE = 0xC000018C, EACCES
    TRUST_FAILURE = 0xC0000190, EACCES
    DOMAIN_CONTROLLER_NOT_FOUND = 0xC0000233, EACCES
    TIME_DIFFERENCE_AT_DC = 0xC0000133, EACCES
    NO_TRUST_SAM_ACCOUNT = 0xC000018B, EACCES
    NETLOGON_NOT_STARTED = 0xC0000192, EACCES
    AUTHENTICATION_FIREWALL_FAILED = 0xC0000413, EACCES
    DOWNGRADE_DETECTED = 0xC0000388, EACCES
    NTLM_BLOCKED = 0xC0000418, EACCES
    SMARTCARD_LOGON_REQUIRED = 0xC00002FA, EACCES
    MUTUAL_AUTHENTICATION_FAILED = 0xC00002C3, EACCES
    MORE_PROCESSING_REQUIRED = 0xC0000016
    INVALID_NETWORK_RESPONSE = 0xC00000C3
    # Open files, locks, sharing.
    # the descriptor is the program's and good; what it stood for is gone
    INVALID_HANDLE = 0xC0000008, ESTALE
    FILE_CLOSED = 0xC0000128, ESTALE
    FILE_INVALID = 0xC0000098, ESTALE
    FILE_FORCED_CLOSED = 0xC00000B6, ESTALE
    # as cifs.ko over SMB2; ETXTBSY would speak of a running program
    SHARING_VIOLATION = 0xC0000043, EBUSY
    FILE_LOCK_CONFLICT = 0xC0000054, EACCES
    LOCK_NOT_GRANTED = 0xC0000055, EAGAIN
    RANGE_NOT_LOCKED = 0xC000007E, EINVAL
    INVALID_LOCK_SEQUENCE = 0xC000001E
    INVALID_LOCK_RANGE = 0xC00001A1, EINVAL
    OPLOCK_NOT_GRANTED = 0xC00000E2
    INVALID_OPLOCK_PROTOCOL = 0xC00000E3
    CANNOT_BREAK_OPLOCK = 0xC0000909, EBUSY
    USER_MAPPED_FILE = 0xC0000243, EBUSY
    POSSIBLE_DEADLOCK = 0xC0000194, EDEADLK
    TOO_MANY_OPENED_FILES = 0xC000011F, ENFILE
    FILES_OPEN = 0xC0000107, EBUSY
    PROCESS_IS_TERMINATING = 0xC000010A
    CANCELLED = 0xC0000120
    IO_TIMEOUT = 0xC00000B5, ETIMEDOUT
    TIMEOUT = 0x00000102, ETIMEDOUT
    RETRY = 0xC000022D
    FILE_NOT_AVAILABLE = 0xC0000467
    SHARE_UNAVAILABLE = 0xC0000480
    REQUEST_NOT_ACCEPTED = 0xC00000D0
    REQUEST_OUT_OF_SEQUENCE = 0xC000042A
    # Space, media, data.
    END_OF_FILE = 0xC0000011
    DISK_FULL = 0xC000007F, ENOSPC
    QUOTA_EXCEEDED = 0xC0000044, EDQUOT
    DISK_QUOTA_EXCEEDED = 0xC0000802, EDQUOT
    FILE_TOO_LARGE = 0xC0000904, EFBIG
    MEDIA_WRITE_PROTECTED = 0xC00000A2, EROFS
    NO_MEDIA_IN_DEVICE = 0xC0000013, ENOMEDIUM
    UNRECOGNIZED_VOLUME = 0xC000014F
    VOLUME_DISMOUNTED = 0xC000026E
    WRONG_VOLUME = 0xC0000012
    DATA_ERROR = 0xC000003E
    CRC_ERROR = 0xC000003F
    DISK_CORRUPT_ERROR = 0xC0000032
    FILE_CORRUPT_ERROR = 0xC0000102
    DISK_OPERATION_FAILED = 0xC000016A
    DEVICE_DATA_ERROR = 0xC000009C
    DEVICE_NOT_READY = 0xC00000A3
    DEVICE_DOES_NOT_EXIST = 0xC00000C0, ENODEV
    NO_SUCH_DEVICE = 0xC000000E, ENODEV
    FILE_IS_OFFLINE = 0xC0000267
    FILE_ENCRYPTED = 0xC0000293, EACCES
    DECRYPTION_FAILED = 0xC000028B, EACCES
    ENCRYPTION_FAILED = 0xC000028A
    COMPRESSION_DISABLED = 0xC0000426, EOPNOTSUPP
    EAS_NOT_SUPPORTED = 0xC000004F, EOPNOTSUPP
    EA_TOO_LARGE = 0xC0000050, ENOSPC  # setxattr(2): no room for the attribute
    NONEXISTENT_EA_ENTRY = 0xC0000051, ENODATA
    NO_EAS_ON_FILE = 0xC0000052, ENODATA
    EA_CORRUPT_ERROR = 0xC0000053
    VIRUS_INFECTED = 0xC0000906, EACCES
    VIRUS_DELETED = 0xC0000907, ENOENT
    FILE_SYSTEM_LIMITATION = 0xC0000427, EOPNOTSUPP
    # Server, share and network.
    # not ENOMEM, which blames this machine, nor EAGAIN, which promises poll(2)
    INSUFFICIENT_RESOURCES = 0xC000009A
    INSUFF_SERVER_RESOURCES = 0xC0000205
    NO_MEMORY = 0xC0000017
    TOO_MANY_SESSIONS = 0xC00000CE, EUSERS
    REMOTE_SESSION_LIMIT = 0xC0000196
    INTERNAL_ERROR = 0xC00000E5
    UNEXPECTED_NETWORK_ERROR = 0xC00000C4
    BAD_NETWORK_PATH = 0xC00000BE, ENOENT
    BAD_NETWORK_NAME = 0xC00000CC, ENOENT
    NETWORK_BUSY = 0xC00000BF, EBUSY
    NETWORK_NAME_DELETED = 0xC00000C9
    USER_SESSION_DELETED = 0xC0000203
    NETWORK_SESSION_EXPIRED = 0xC000035C
    NETWORK_CREDENTIAL_CONFLICT = 0xC0000195, EACCES
    CONNECTION_RESET = 0xC000020D
    CONNECTION_DISCONNECTED = 0xC000020C
    CONNECTION_ABORTED = 0xC0000241
    CONNECTION_REFUSED = 0xC0000236
    LOCAL_DISCONNECT = 0xC000013B
    REMOTE_DISCONNECT = 0xC000013C
    REMOTE_RESOURCES = 0xC000013D
    LINK_FAILED = 0xC000013E
    LINK_TIMEOUT = 0xC000013F
    VIRTUAL_CIRCUIT_CLOSED = 0xC00000D6
    NETWORK_UNREACHABLE = 0xC000023C, ENETUNREACH
    HOST_UNREACHABLE = 0xC000023D, EHOSTUNREACH
    SHARING_PAUSED = 0xC00000CF, EBUSY
    REDIRECTOR_PAUSED = 0xC00000D1
    LICENSE_QUOTA_EXCEEDED = 0xC0000259, EUSERS
    HOST_DOWN = 0xC0000350, EHOSTDOWN
    SERVER_UNAVAILABLE = 0xC0000466
    SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP = 0xC05D0000
    SMB_BAD_CLUSTER_DIALECT = 0xC05D0001
    BAD_IMPERSONATION_LEVEL = 0xC00000A5, EACCES
    # Named pipes.
    PIPE_NOT_AVAILABLE = 0xC00000AC, EBUSY
    INSTANCE_NOT_AVAILABLE = 0xC00000AB, EBUSY
    PIPE_BUSY = 0xC00000AE, EBUSY
    PIPE_DISCONNECTED = 0xC00000B0, EPIPE
    PIPE_CLOSING = 0xC00000B1, EPIPE
    PIPE_BROKEN = 0xC000014B, EPIPE
    PIPE_EMPTY = 0xC00000D9
    INVALID_PIPE_STATE = 0xC00000AD, EPIPE
    INVALID_READ_MODE = 0xC00000B4, EINVAL


# What a user may meet while mounting: what it means, and what can be done about it.
SENTENCES: dict[Status, str] = {
    Status.LOGON_FAILURE: "The server does not know this user, or the password is wrong; "
    "check user name, domain and password.",
    Status.WRONG_PASSWORD: "The password is wrong.",
    Status.NO_SUCH_USER: "The server does not know this user; check the user name and the domain.",
    Status.ACCOUNT_DISABLED: "The account is disabled; an administrator has to enable it.",
    Status.ACCOUNT_EXPIRED: "The account has expired; an administrator has to extend it.",
    Status.ACCOUNT_LOCKED_OUT: "The account is locked, usually after too many wrong passwords; "
    "wait, or ask an administrator to unlock it.",
    Status.ACCOUNT_RESTRICTION: "The account may not log on this way; often its password is empty, "
    "or it is in Protected Users and must use Kerberos.",
    Status.PASSWORD_EXPIRED: "The password has expired; change it on the server first.",
    Status.PASSWORD_MUST_CHANGE: "The password must be changed before the first logon; "
    "change it on the server first.",
    Status.INVALID_LOGON_HOURS: "The account may not log on at this hour.",
    Status.INVALID_WORKSTATION: "The account may not log on from this computer.",
    Status.LOGON_TYPE_NOT_GRANTED: "The account may not log on over the network; "
    "an administrator has to allow it on the server.",
    Status.NO_LOGON_SERVERS: "The server cannot reach its domain controller to check the password; "
    "try again later, or use a local account of the server.",
    Status.NO_SUCH_DOMAIN: "The server does not know this domain; check the domain option.",
    Status.TRUSTED_RELATIONSHIP_FAILURE: "The server has lost its trust with the domain; "
    "an administrator has to join it again.",
    Status.TRUSTED_DOMAIN_FAILURE: "The server's domain and the user's no longer trust each other.",
    Status.NTLM_BLOCKED: "The server or its domain refuses NTLM; use Kerberos.",
    Status.AUTHENTICATION_FIREWALL_FAILED: "The server does not let accounts of this domain in.",
    Status.TIME_DIFFERENCE_AT_DC: "The clocks differ too much; set the time on both sides.",
    Status.ACCESS_DENIED: "The server knows who you are and refuses; the user may lack the right "
    "to this share, or the server insists on encryption or signing, or refuses guests.",
    Status.NETWORK_ACCESS_DENIED: "The server refuses access over the network to this user.",
    Status.PRIVILEGE_NOT_HELD: "The user lacks a privilege for this on the server.",
    Status.BAD_NETWORK_NAME: "The server has no share of this name; check its spelling, "
    "or list the shares.",
    Status.BAD_NETWORK_PATH: "The server has no such share or path.",
    Status.NETWORK_NAME_DELETED: "The share was taken away or restarted; try again.",
    Status.BAD_DEVICE_TYPE: "The share is no folder, perhaps a printer; it cannot be mounted.",
    Status.OBJECT_NAME_NOT_FOUND: "The folder to mount does not exist in the share.",
    Status.OBJECT_PATH_NOT_FOUND: "The path to mount does not exist in the share.",
    Status.NOT_A_DIRECTORY: "What should be mounted is a file, not a folder.",
    Status.PATH_NOT_COVERED: "This path belongs to DFS and lies on another server.",
    Status.DFS_UNAVAILABLE: "DFS knows this path, but no server that has it can be reached.",
    Status.REQUEST_NOT_ACCEPTED: "The server takes no more connections now; "
    "its limit of users or sessions may be reached.",
    Status.TOO_MANY_SESSIONS: "The server has no session left; close another one or wait.",
    Status.INSUFFICIENT_RESOURCES: "The server is out of resources; try again later.",
    Status.INSUFF_SERVER_RESOURCES: "The server is out of resources; try again later.",
    Status.SHARING_PAUSED: "The server has paused sharing; try again later.",
    Status.SERVER_UNAVAILABLE: "The file service of the server is not running; try again later.",
    Status.USER_SESSION_DELETED: "The server ended the session; try again.",
    Status.NETWORK_SESSION_EXPIRED: "The session has expired, as tickets do; log on again.",
    Status.NOT_SUPPORTED: "The server does not support what was asked; "
    "it may speak other versions of the protocol (option vers=).",
    Status.INVALID_PARAMETER: "The server rejects the request as malformed; "
    "it may be an old server: try a lower vers=.",
    Status.SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP: "The server knows none of our hash algorithms.",
    Status.IO_TIMEOUT: "The server waited in vain for its own disk or a peer; try again.",
    Status.INVALID_NETWORK_RESPONSE: "The server got an answer it did not understand.",
}
