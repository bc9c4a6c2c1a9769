"""What lies on disk: a cell's folder, its lock, its record, and files that are written whole."""
