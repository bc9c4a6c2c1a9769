"""Words and YAML in, checked cells out."""
