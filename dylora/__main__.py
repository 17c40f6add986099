"""`python -m dylora`."""

from dylora.signals import ending_in_one_line

if __name__ == "__main__":
    with ending_in_one_line():
        from dylora.cli import main  # loading takes its time, in which Ctrl-C may come, too

        main()
