"""The public reads files through a web server before a gateway, and can do nothing else."""
