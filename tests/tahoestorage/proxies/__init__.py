"""What the public can do through a public gateway: real web servers before a real gateway."""
