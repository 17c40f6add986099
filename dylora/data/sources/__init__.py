"""Where rows come from: the hub, official files, the package."""
