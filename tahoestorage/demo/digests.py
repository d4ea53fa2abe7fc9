"""SHA-256 and size of files of the site: names on standard input, one a line each way."""

import sys
from hashlib import sha256

import django


def main() -> None:
    """Read with the storage of the models, in the site that the environment names."""
    django.setup()
    from tahoestorage.demo.models import ts

    for line in sys.stdin:
        digest, size = sha256(), 0
        with ts.open(line.rstrip("\n")) as file:
            for chunk in file.chunks():
                digest.update(chunk)
                size += len(chunk)
        print(digest.hexdigest(), size)


if __name__ == "__main__":
    main()
