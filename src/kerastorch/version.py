"""The version of this release, and the key under which files state it."""

__version__ = "0.1.0"
VERSION_KEY = "kerastorch"  # part of the file formats: the version that wrote the file stands under this key
