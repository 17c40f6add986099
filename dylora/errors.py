"""The one exception for input that a user can put right."""


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
