"""Tables and pictures of the runs of sweeps, beside the figures that the paper prints."""
