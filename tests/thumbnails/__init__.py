"""Libraries that make thumbnails and store files, with this storage as the default one."""
