"""An app whose models have files."""
