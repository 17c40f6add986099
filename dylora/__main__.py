"""`python -m dylora`."""

from dylora.cli import main

if __name__ == "__main__":
    main()
