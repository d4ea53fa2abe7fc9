"""Files of one storage copied to another."""
