"""The version of bitcodes, in a file of its own so that modules can read it."""

__version__ = "0.1.0"
