"""Errors that the package raises on purpose, each with one sentence for the user."""


class ClusterabilityError(Exception):
    """Base of all errors that the package raises on purpose.

    The message is one sentence with what failed and the remedy. The command prints it without a
    traceback.
    """


class InputError(ClusterabilityError, ValueError):
    """Something that the user gave cannot be used; the command exits with code 2.

    The message has the value, what was expected, and the remedy.

    >>> from clusterability import measure, toy
    >>> measure(toy.path(), n_clusters=9)
    Traceback (most recent call last):
        ...
    clusterability.errors.InputError: the network has 4 neurons with non-zero weights, ...
    """


class RunError(ClusterabilityError):
    """A computation failed although its input can be used; the command exits with code 1.

    Memory ran out, a process died, or the loss of a training became infinite.
    """
