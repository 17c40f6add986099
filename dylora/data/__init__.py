"""Data modules and the sets that the package ships."""
