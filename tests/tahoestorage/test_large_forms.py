"""Forms of many files, through the upload handler."""

from __future__ import annotations

import os

from django.core.files.uploadedfile import SimpleUploadedFile

from tahoestorage.uploadhandler import TahoeUploadHandler
from tests.tahoestorage.upload_case import UploadTestCase

_SIZES = (0, 1, 55, 56, 1000, 10_000, 70_000, 200_000, 300_000, 600_000)


class FiftyFiles(UploadTestCase):
    def test_each_of_them_is_uploaded_once_and_comes_back(self) -> None:
        proxy = self.use_proxy()
        contents = [os.urandom(size) for size in _SIZES * 5]
        files = [SimpleUploadedFile(f"{n}.bin", data) for n, data in enumerate(contents)]
        received = self.post(TahoeUploadHandler, file=files).FILES.getlist("file")
        self.assertEqual(proxy.requests, ["PUT /uri"] * 50)
        self.assertLessEqual(proxy.connections, 2)
        names = self.new_storage(tahoe_base_url=proxy.url).save_many(
            (f"form/{file.name}", file) for file in received
        )
        self.assertEqual(proxy.requests.count("PUT /uri"), 50)
        self.assertEqual([self.read(name) for name in names], contents)
