"""The one exception for input that a user can put right, and the one for a training that came to nothing."""


class InputError(ValueError):
    """Bad input, told in one line: the argument, what is allowed, what was given, what to do.

    The command line prints it on stderr without a traceback and exits with status 2.

    Args:
        argument: Name of the option, key or file at fault, as the user wrote it.
        allowed: What would have been accepted.
        given: What was found instead.
        fix: What to do about it.

    >>> print(InputError("--rank", "1 to 8", 9, "choose a rank that the adapter was trained at"))
    --rank: must be 1 to 8, got 9; choose a rank that the adapter was trained at
    """

    def __init__(self, argument: str, allowed: str, given: object, fix: str) -> None:
        super().__init__(argument, allowed, str(given), fix)  # these four again, so that it can be pickled
        self.argument = argument

    def __str__(self) -> str:
        argument, allowed, given, fix = self.args
        return " ".join(f"{argument}: must be {allowed}, got {given}; {fix}".split())


class DivergedError(RuntimeError):
    """A training that was stopped because its figures are no numbers, told in one line.

    The command line prints it on stderr without a traceback and exits with status 1.
    """


def check_at_least(group: str, least: int, **values: int) -> None:
    """Refuse numbers below a bound.

    Args:
        group: What stands before the names on the command line, such as `data`.
        least: The bound.
        **values: The numbers under their names.

    Raises:
        InputError: For the first of them that is smaller.

    >>> check_at_least("data", 1, train_batch_size=0)
    Traceback (most recent call last):
    dylora.errors.InputError: data.train_batch_size: must be at least 1, got 0; give a larger number
    """
    for name, value in values.items():
        if value < least:
            raise InputError(f"{group}.{name}", f"at least {least}", value, "give a larger number")
