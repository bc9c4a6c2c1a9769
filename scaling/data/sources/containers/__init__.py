"""Images that do not lie in class folders: tables, Parquet, arrays and archives, read as the same catalogue."""
