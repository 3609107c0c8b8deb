"""The one error that a user can cause."""


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one sentence with the value, what was expected, and the remedy. The command
    prints it and exits with code 2.

    >>> from clusterability import measure, toy
    >>> measure(toy.path(), n_clusters=9)
    Traceback (most recent call last):
        ...
    clusterability.errors.InputError: the network has 4 neurons with non-zero weights, ...
    """
