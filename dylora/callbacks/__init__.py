"""Lightning callbacks: which rank a step trains, and what is shown of all ranks."""
