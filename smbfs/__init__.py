"""smbfs mounts SMB2 and SMB3 shares as ordinary folders, through FUSE."""

__version__ = "0.1.0"
