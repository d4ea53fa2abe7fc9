"""What the page "Tahoe grid" of the admin says and draws, without HTML."""
