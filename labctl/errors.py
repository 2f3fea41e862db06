"""The errors that a person can cause or meet, each one clear sentence and an exit code.

Nothing else may reach a person: the command line prints a ``LabctlError`` as one line and
exits with its ``exit_code``; any other exception is a defect in labctl.
"""


class LabctlError(Exception):
    """Base of every expected error: ``str(error)`` is the whole sentence to show."""

    exit_code = 1


class LabError(LabctlError):
    """The lab, or a verdict about it, is bad: a service not ready, a fault that does not bite."""

    exit_code = 1


class InputError(LabctlError):
    """The user's document or arguments are wrong; nothing was touched."""

    exit_code = 2


class EngineError(LabctlError):
    """The container engine or the machine cannot do what was asked."""

    exit_code = 3


class SubnetTakenError(EngineError):
    """A lab's subnet overlaps that of another network of the engine."""


class ReaderGoneError(LabctlError):
    """Nobody reads our output any more (``| head``): the end, without a word.

    The exit code is that of a program that SIGPIPE has ended.
    """

    exit_code = 141
