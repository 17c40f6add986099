"""One self-contained HTML page of runs: curves, figures, costs, differences, errors and examples."""
