"""The one error that a user can cause."""


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one sentence with the value, what was expected, and the remedy. The command
    prints it and exits with code 2.
    """
