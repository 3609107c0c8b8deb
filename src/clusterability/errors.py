"""The errors that the package raises on purpose; each message is one sentence for the user."""


class ClusterabilityError(Exception):
    """Base of all errors that the package raises on purpose.

    The message states the failure and the remedy in one sentence. The command prints it without a
    traceback.

    >>> issubclass(InputError, ClusterabilityError), issubclass(RunError, ClusterabilityError)
    (True, True)
    """


class InputError(ClusterabilityError, ValueError):
    """The user's input cannot be used; the command exits with code 2.

    The message gives the value, the expected values, and the remedy.

    >>> from clusterability import measure, toy
    >>> measure(toy.path(), n_clusters=9)
    Traceback (most recent call last):
        ...
    clusterability.errors.InputError: the network has 4 neurons with non-zero weights, ...
    """


class RunError(ClusterabilityError):
    """A computation failed although its input is valid; the command exits with code 1.

    Memory ran out, a process died, or the loss of a training became infinite.

    >>> issubclass(RunError, InputError)
    False
    """
